"""The scripts' options, read from MLproject so that each parameter is declared once."""

from __future__ import annotations

import argparse
import errno
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import yaml

from pipeline.errors import InputError

UNGIVEN = ("from-study", "newest")
"""Defaults in MLproject that mean: not given."""

REPEATED = {"report": ("study",)}
"""Entry point → options that may be given several times; a comma divides them in one."""

_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}
_PLACE |= {errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
"""What is wrong with a disk or a folder, and not with the program."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence in place of a page of usage."""
        self.exit(2, f"error: {message}; `--help` lists the options\n")


def parse(entry_point: str, description: str | None, argv: list[str] | None = None) -> dict:
    """Options of an MLproject entry point → name: value, without those that were not given."""
    project = Path(__file__).resolve().parents[1] / "MLproject"
    declared = yaml.safe_load(project.read_text())["entry_points"][entry_point]["parameters"]
    parser = _Parser(description=description, allow_abbrev=False)
    for name, parameter in declared.items():
        default = str(parameter["default"])
        text = f"{parameter['description']} (default: {default})".replace("%", "%%")
        again = {"action": "append"} if name in REPEATED.get(entry_point, ()) else {}
        given = None if again else default
        parser.add_argument(f"--{name}", default=given, metavar="VALUE", help=text, **again)
    options = vars(parser.parse_args(argv))
    for name in REPEATED.get(entry_point, ()):
        options[name] = ",".join(options[name] or [str(declared[name]["default"])])
    ungiven = {
        name
        for name, parameter in declared.items()
        if parameter["default"] in UNGIVEN and options[name] == parameter["default"]
    }
    return {name: value for name, value in options.items() if name not in ungiven}


def import_tensorflow() -> None:
    """Import TensorFlow and find its devices without its notes on what hardware it misses.

    They are written straight to the process's standard error before any logging can be set up;
    here they go to a file, which is shown if the import fails.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            import tensorflow as tf

            tf.zeros([1]).numpy()
        except BaseException:
            os.dup2(kept, 2)
            notes.seek(0)
            sys.stderr.write(notes.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def guarded(run: Callable[[], object]) -> None:
    """Run, and turn what a person can mend into one sentence and a non-zero exit status.

    2: bad input. 130: interrupted from the keyboard; 143: by SIGTERM.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's hardware notes
    # Each core trains networks of its own (pipeline.training.training).
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        run()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if (reason := _of_the_disk(error)) is None:
            raise
        print(
            f"error: a file cannot be written or read: {reason}; free space, mend permissions or "
            "choose another folder, and the same command goes on from here",
            file=sys.stderr,
        )
        sys.exit(2)


def _of_the_disk(error: BaseException | None) -> str | None:
    """What a disk, a folder or a database file refused, if that is what the error comes from."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _PLACE:
            return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        if isinstance(error, sqlite3.OperationalError):
            return str(error)
        error = error.__cause__ or error.__context__
    return None
