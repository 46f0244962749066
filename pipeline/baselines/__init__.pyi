from .contenders import VERSION as VERSION
from .contenders import Baseline as Baseline
from .contenders import fit_baselines as fit_baselines
from .data import BaselineData as BaselineData
from .kept import KeptBaselines as KeptBaselines
