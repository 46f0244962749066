"""The one exception that means: the input is wrong, and here is what to do."""


class InputError(ValueError):
    """Bad input from a person: one sentence with the law, what came, and what to do.

    Entry points print it and exit with status 2; nothing else is ever shown without a traceback.
    """
