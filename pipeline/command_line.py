"""The scripts' options, read from MLproject so that each parameter is declared once."""

from __future__ import annotations

import argparse
import codecs
import io
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import yaml

from pipeline.errors import InputError
from pipeline.process import (
    asked_to_stop,
    disk_trouble,
    finished,
    first_line,
    keep_traceback,
    load_driver,
    masked,
    stand_where_the_person_stands,
    stop,
)

GOES_ON = "the same command goes on from here"

NOT_GIVEN = ("from-study", "from-environment", "newest")
"""Defaults in MLproject that mean: not given."""

REPEATED = {"report": ("study",)}
"""Entry point → options that may be given several times; a comma divides them in one."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence in place of a page of usage."""
        self.exit(2, f"error: {message}; `--help` lists the options\n")


def parse(entry_point: str, description: str | None, argv: list[str] | None = None) -> dict:
    """Options of an MLproject entry point → name: value, without those that were not given."""
    project = Path(__file__).resolve().parents[1] / "MLproject"
    declared = yaml.safe_load(project.read_text("utf-8"))["entry_points"][entry_point]["parameters"]
    parser = _Parser(description=description, allow_abbrev=False)
    for name, parameter in declared.items():
        default = str(parameter["default"])
        text = f"{parameter['description']} (default: {default})".replace("%", "%%")
        may_repeat = name in REPEATED.get(entry_point, ())
        parser.add_argument(
            f"--{name}",
            action="append" if may_repeat else "store",
            default=None if may_repeat else default,
            metavar="VALUE",
            help=text,
        )
    options = vars(parser.parse_args(argv))
    for name in REPEATED.get(entry_point, ()):
        options[name] = ",".join(options[name] or [str(declared[name]["default"])])
    not_given = {
        name
        for name, parameter in declared.items()
        if parameter["default"] in NOT_GIVEN and options[name] == parameter["default"]
    }
    return {name: value for name, value in options.items() if name not in not_given}


def import_tensorflow() -> None:
    """Import TensorFlow and find its devices without its notes on what hardware it misses.

    They are written straight to the process's standard error before any logging can be set up;
    here they go to a file, which is shown if the import fails. Where it is imported already,
    nothing is done. InputError where it cannot be.
    """
    if "tensorflow" in sys.modules:
        return
    load_driver()  # first, as it says
    sys.stderr.flush()
    error_output = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            with _without_keras():
                import tensorflow as tf

            tf.zeros([1]).numpy()
        except Exception as error:
            os.dup2(error_output, 2)
            notes.seek(0)
            sys.stderr.write(notes.read().decode(errors="replace"))
            raise InputError(
                f"TensorFlow must load where networks train, but on {platform.node()} it ends in "
                f"{type(error).__name__}: {first_line(error)}; install it there "
                f"(pip install -r requirements.txt), and {GOES_ON}"
            ) from error
        finally:
            os.dup2(error_output, 2)
            os.close(error_output)


@contextmanager
def _without_keras() -> Iterator[None]:
    """TensorFlow imports Keras at its own end, and Keras matplotlib and scikit-learn, 40 % of the
    whole; nothing of ours is trained with it. It does without where there is none, and `tf.keras`
    is loaded all the same where it is asked for later."""
    ours = {} if "keras" in sys.modules else {"keras.src": None}
    sys.modules.update(ours)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in ours:
            del sys.modules[name]


_IN_ASCII = {
    "λ": "lambda", "Φ": "Phi", "±": "+/-", "≤": "<=", "≥": ">=", "→": "->", "·": "-", "×": "x",
    "–": "-", "−": "-", "…": "...", "•": "*", "²": "2", "½": "1/2", "─": "-", "━": "-", "╌": "-",
}  # fmt: skip


def _without_odd_signs(error: UnicodeError) -> tuple[str, int]:
    """What takes the place of signs that a terminal's encoding has not; as `codecs` asks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_IN_ASCII.get(sign, "?") for sign in text), error.end


def write_in_any_encoding() -> None:
    """Let standard output and error take every sign, on a terminal of Latin-1 or ASCII too."""
    codecs.register_error("lariat", _without_odd_signs)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="lariat")


def guarded(run: Callable[[], object], goes_on: str = GOES_ON) -> None:
    """Run, and turn whatever ends it into one sentence and an exit status.

    2: bad input, or a disk or a server that refuses; 1: anything unexpected, whose traceback is in
    a file that the sentence names; 129, 130, 143: asked to stop (pipeline.process.stopping).

    goes_on: what the same command does after a stop.
    """
    write_in_any_encoding()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's hardware notes
    # Each core trains networks of its own (pipeline.training.training).
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        if notice := stand_where_the_person_stands():
            print(notice)
        run()
    except KeyboardInterrupt:
        stop(f"stopped; {goes_on}", 128 + (asked_to_stop() or signal.SIGINT))
    except Exception as error:
        if number := asked_to_stop():  # what a library or a closing file made of the signal
            stop(f"stopped; {goes_on}", 128 + number)
        status, sentence = _status_and_sentence(error, goes_on)
        print(f"error: {masked(sentence)}", file=sys.stderr)
        sys.exit(status)
    finally:
        finished()


def _status_and_sentence(error: Exception, goes_on: str) -> tuple[int, str]:
    """(exit status, sentence) of what went wrong."""
    if isinstance(error, InputError):
        return 2, str(error)
    log = keep_traceback(error)
    if reason := disk_trouble(error):
        return 2, (
            f"a file cannot be written or read: {reason}; free space, mend permissions or choose "
            f"another folder: what was finished is kept, and {goes_on} (details: {log})"
        )
    return 1, (
        f"something unexpected went wrong ({type(error).__name__}), which is a defect of Lariat or "
        f"of a library it uses; the traceback is in {log}: please report it. What was finished is "
        f"kept, and {goes_on}"
    )
