from .format import VARIANTS as VARIANTS
from .format import VARIANTS_FOLDER as VARIANTS_FOLDER
from .format import param_text as param_text
from .opening import Fingerprint as Fingerprint
from .opening import open_study as open_study
from .store import RunStore as RunStore
from .writer import StudyRun as StudyRun
