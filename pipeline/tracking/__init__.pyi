from .format import VARIANTS as VARIANTS
from .format import VARIANTS_FOLDER as VARIANTS_FOLDER
from .format import param_text as param_text
from .serving import ServedNetwork as ServedNetwork
from .serving import save as save
from .serving import synthetic_rows as synthetic_rows
from .store import RunStore as RunStore
from .writer import StudyRun as StudyRun
