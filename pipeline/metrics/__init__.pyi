from .bootstrap import DIGITS as DIGITS
from .bootstrap import RESAMPLES as RESAMPLES
from .honest import Estimate as Estimate
from .honest import Scored as Scored
from .honest import bias_corrected as bias_corrected
from .honest import nested as nested
from .honest import optimism_corrected as optimism_corrected
from .metrics import OF_TASK as OF_TASK
