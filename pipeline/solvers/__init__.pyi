from .finish import settled as settled
from .fista import Given as Given
from .kkt import certified as certified
