from .contenders import VERSION as VERSION
from .contenders import Baseline as Baseline
from .contenders import BaselineData as BaselineData
from .contenders import contenders as contenders
from .contenders import fit_baselines as fit_baselines
from .kept import KeptBaselines as KeptBaselines
