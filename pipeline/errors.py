"""The one exception that means: the input is wrong. A model that is kept has it too."""

from pipeline.serving import InputError

__all__ = ["InputError"]
