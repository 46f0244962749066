"""Servers that do not answer, answer with errors, or refuse: what is wrong, in a sentence.

What is reachable, trusted and allowed is decided by MLflow's own client, with its variables for
certificates, user names and tokens.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import sqlalchemy as sa
from mlflow.exceptions import MlflowException, RestException
from mlflow.tracking import MlflowClient, get_tracking_uri

from pipeline.errors import InputError
from pipeline.process import causes, first_line, masked

PROBE_SECONDS, DELIVERY_SECONDS, CLOSING_SECONDS = 10, 20, 3
"""For an answer: at the start, while results wait to be delivered, at the end of a process."""

_REFUSALS = {
    401: "asks who you are: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
    "MLFLOW_TRACKING_TOKEN",
    403: "does not allow this user to do that: ask who runs it",
    429: "has too many requests",
}
_STATUS = re.compile(r"failed with error code (\d{3})")
_WITHOUT_OBJECT = re.compile(r"<[^<>]*object at 0x[0-9a-f]+>:? *")


@contextmanager
def short_timeouts(seconds: int, retries: int = 1) -> Iterator[None]:
    """Inside, MLflow's client gives up after so many seconds and retries, not after minutes."""
    wanted = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def server_trouble(error: BaseException) -> str | None:
    """What a server or its network did, as the end of a sentence that begins with its name; None
    where the error has another reason."""
    for each in causes(error):
        if isinstance(each, requests.exceptions.SSLError):
            return (
                "has a certificate that is not trusted: set MLFLOW_TRACKING_SERVER_CERT_PATH to "
                "that of its authority"
            )
        if isinstance(each, requests.exceptions.Timeout) or "ReadTimeoutError" in str(each):
            return "does not answer in time"
        if isinstance(each, requests.exceptions.RetryError):
            return "answers with errors again and again"
        if isinstance(each, requests.exceptions.HTTPError) and each.response is not None:
            return _of_status(each.response.status_code)
        if isinstance(each, requests.exceptions.RequestException):
            return f"does not answer ({_shortened(each)})"
        if isinstance(each, MlflowException) and (trouble := _of_answer(each)):
            return trouble
        if isinstance(each, (sa.exc.OperationalError, sa.exc.InterfaceError)) and not isinstance(
            each.orig, sqlite3.Error
        ):
            return f"does not answer ({_shortened(each.orig)})"
    return None


def _of_answer(error: MlflowException) -> str | None:
    if isinstance(error, RestException):
        return _of_status(error.get_http_status_code())
    status = _STATUS.search(str(error.message))
    return _of_status(int(status.group(1))) if status else None


def _of_status(status: int) -> str | None:
    if status in _REFUSALS:
        return _REFUSALS[status]
    return f"answers with error {status}" if status >= 500 else None


def _shortened(error: BaseException | None) -> str:
    """The reason in the message of a library, which often puts it last."""
    line = "no reason given" if error is None else masked(first_line(error))
    text = _WITHOUT_OBJECT.sub("", line).strip()
    reason = re.search(r"\[Errno -?\d+\] ([^'\")]+)|'([^']+)'\)?\)*$", text)
    return (reason[1] or reason[2] if reason else text)[:200]


def require_answer(client: MlflowClient, uri: str) -> None:
    """InputError in seconds, not after minutes of retries, where a server is of no use."""
    try:
        with short_timeouts(PROBE_SECONDS):
            client.search_experiments(max_results=1)
    except Exception as error:
        trouble = server_trouble(error)
        if trouble is None:
            trouble = f"is no MLflow server ({_shortened(error)})"
        raise InputError(
            f"the tracking server must answer, but {masked(uri)} {trouble}; mend that, "
            "or point MLFLOW_TRACKING_URI elsewhere"
        ) from error


@contextmanager
def server_trouble_as_a_sentence() -> Iterator[None]:
    """Turn what a server did into an InputError that names it; others pass. Also a decorator."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if trouble := server_trouble(error):
            raise InputError(
                f"the tracking server must answer, but {masked(get_tracking_uri())} {trouble}; "
                "what was finished is kept, and the same command goes on from here when it does"
            ) from error
        raise
