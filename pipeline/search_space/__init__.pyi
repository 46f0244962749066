from .combinations import encoded as encoded
from .sampling import Configuration as Configuration
from .sampling import Sampling as Sampling
from .sampling import distributions as distributions
from .schema import ENTROPY as ENTROPY
from .schema import KEPT as KEPT
from .study_file import SearchSpace as SearchSpace
from .study_file import load_search_space as load_search_space
