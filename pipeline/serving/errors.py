"""The one exception that means: the input is wrong, and here is what to do."""


class InputError(ValueError):
    """Bad input from a person: one sentence with the rule, what came, and what to do.

    Entry points print it and exit with status 2; nothing else is ever shown without a traceback.
    """

    def __init__(self, sentence: object = "") -> None:
        super().__init__(_one_line(str(sentence)))


def _one_line(text: str) -> str:
    """Line ends and what no terminal should get, as a name may have them, are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
