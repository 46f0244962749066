from .bootstrap import DIGITS as DIGITS
from .bootstrap import RESAMPLES as RESAMPLES
from .metrics import MAXIMIZED as MAXIMIZED
from .metrics import OF_TASK as OF_TASK
from .metrics import score as score
