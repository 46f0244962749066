"""What a person at a terminal is asked; everywhere else each answer is its default."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.prompt import Confirm, Prompt

from pipeline.errors import InputError


@contextmanager
def _refusing_an_early_end() -> Iterator[None]:
    """InputError where the input ends before a question is answered."""
    try:
        yield
    except EOFError:
        raise InputError(
            "every question must be answered, but the input ended; nothing was written"
        ) from None


class Questions:
    """Asks where `attached`, which is whether both ends of the console are a terminal."""

    def __init__(self, console: Console, attached: bool | None = None, answers=None):
        """answers: a text stream in place of the keyboard."""
        self._console, self._answers = console, answers
        if attached is None:
            attached = sys.stdin is not None and sys.stdin.isatty() and console.is_terminal
        self.attached = attached

    def text(self, question: str, default: str = "") -> str:
        """A line, or the default."""
        if not self.attached:
            return default
        with _refusing_an_early_end():
            answer = Prompt.ask(
                question,
                console=self._console,
                default=default,
                stream=self._answers,
                show_default=bool(default),
            )
        return (answer or "").strip()

    def one_of(self, question: str, choices: Sequence[str], default: str | None = None) -> str:
        """One of the choices; asks again until it is."""
        if not self.attached:
            return default or ""
        while True:
            answer = self.text(question, default or "")
            if answer in choices:
                return answer
            self._console.print(f"not among them: {answer}", markup=False)

    def some_of(
        self, question: str, choices: Iterable[str], default: Iterable[str] = ()
    ) -> tuple[str, ...]:
        """Some of the choices, divided by commas; `none` for none of them."""
        choices, default = list(choices), tuple(default)
        while self.attached and choices:
            answer = self.text(f"{question} ({', '.join(choices)})", ", ".join(default) or "none")
            names = [name.strip() for name in answer.split(",") if name.strip()]
            names = [] if names == ["none"] and "none" not in choices else names
            unknown = [name for name in names if name not in choices]
            if not unknown:
                return tuple(dict.fromkeys(names))
            self._console.print(f"not among them: {', '.join(unknown)}", markup=False)
        return default

    def yes(self, question: str, default: bool) -> bool:
        """Yes or no."""
        if not self.attached:
            return default
        with _refusing_an_early_end():
            return Confirm.ask(
                question, console=self._console, default=default, stream=self._answers
            )
