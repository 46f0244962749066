"""Databases of a server, such as PostgreSQL: what is wrong where one cannot be used, and tables
made by one process at a time."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from pipeline.process import causes, driver_is_late, first_line, masked
from pipeline.tracking.local_sqlite import refuse_tables

SERVED = {"postgresql", "postgres", "mysql", "mssql"}
"""Of databases that a server has, how addresses begin."""

ANSWER_SECONDS = 10
"""For a connection at the start."""

_MAKING = 0x4C617269
"""Number of the advisory lock of PostgreSQL under which tables are made."""

_REASONS = (
    (
        r"password authentication failed for user (\S+)",
        r"refuses \1 with this password (in an address @ is written as %40, / as %2F, % as %25)",
    ),
    (r"no password supplied", "wants a password: write it into the address, or into ~/.pgpass"),
    (
        r"FATAL: +database (\S+) does not exist",
        r"has no database \1: make it with `createdb`, or name another",
    ),
    (
        r"certificate verify failed|certificate authority|root certificate file",
        "has a certificate that is not trusted: name the file of its authority's by "
        "`?sslmode=verify-full&sslrootcert=FILE` at the end of the address",
    ),
    (
        r"does not match host name|for \S+ does not match",
        "has a certificate of another name than the address has: write the name it has",
    ),
    (
        r"server does not support SSL",
        "has no TLS: turn it on there, or leave sslmode out of the address",
    ),
    (r"no pg_hba.conf entry|no encryption", "takes no such connection: its pg_hba.conf says whose"),
    (
        r"too many (?:clients|connections)|connection slots are reserved",
        "has no connection left: raise its max_connections",
    ),
    (
        r"permission denied for (?:schema|table|database|relation) (\S+)",
        r"does not allow this user to make tables in \1: make the user owner of the database",
    ),
    (
        r"out-of-date database schema",
        "has the tables of another version of MLflow: back it up, then "
        "`mlflow db upgrade ADDRESS` brings an older one up to date",
    ),
    (
        r"no longer compatible with the table schema",
        "has the tables of an older version of Optuna: back it up, then "
        "`optuna storage upgrade --storage ADDRESS` brings it up to date",
    ),
    (
        r"compatible with the table schema",
        "has the tables of another version of Optuna: install that one, or give another database",
    ),
    (
        r"Can't locate revision",
        "has tables of a newer version, or of another program: give another database",
    ),
)
"""(what a driver, MLflow or Optuna says, what it means as the end of a sentence)."""


def database_trouble(error: BaseException) -> str:
    """What is wrong with a database that could not be opened, as the end of a sentence that begins
    with its address; the error's first line where it is none that is known."""
    for each in causes(error):
        text = " ".join(str(each).split())
        if isinstance(each, ModuleNotFoundError):
            return (
                f"needs a driver that is not installed ({each.name}): `pip install -r "
                "requirements-cluster.txt` has that of postgresql:// addresses"
            )
        if isinstance(each, sa.exc.NoSuchModuleError):
            return (
                f"cannot be used ({masked(first_line(each))}): the address of a PostgreSQL begins "
                "with postgresql://"
            )
        for pattern, meaning in _REASONS:
            if found := re.search(pattern, text):
                return found.expand(meaning)
        if isinstance(each, (sa.exc.OperationalError, sa.exc.InterfaceError)):
            said = first_line(each.orig or each)
            reason = re.sub(r".*connection to server at .* failed: ", "", said)
            return f"does not answer ({masked(reason)})"
    return f"cannot be used: {masked(first_line(error))}"


def is_served(address: str) -> bool:
    """Whether it is the address of a database that a server has."""
    return address.partition("://")[0].partition("+")[0] in SERVED


def require_connection(
    address: str, program: str, verify: Callable[[sa.Engine], object] | None = None
) -> None:
    """Connect once to a server's database; the driver's error within ANSWER_SECONDS, where MLflow
    would try for minutes. Addresses of anything else pass.

    verify is called where there are tables, and raises where they are of another version.
    InputError where it holds tables of another program than `mlflow` or `optuna`, whichever wants
    it.
    """
    if not is_served(address):
        return
    engine = _engine(address)
    try:
        names = set(sa.inspect(engine).get_table_names())
        refuse_tables(names, masked(address), program)
        if names and verify is not None:
            verify(engine)
    finally:
        engine.dispose()


@contextmanager
def one_at_a_time(address: str) -> Iterator[None]:
    """Of the processes that make tables in one PostgreSQL database, one at a time is inside."""
    if not address.startswith("postgresql"):
        yield
        return
    engine = _engine(address)
    try:
        with engine.connect() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_lock(_MAKING)))
            yield
            connection.execute(sa.select(sa.func.pg_advisory_unlock(_MAKING)))
    finally:
        engine.dispose()


def _engine(address: str) -> sa.Engine:
    if address.partition("?")[0].count("@") > 1:
        raise ValueError("an @ in its password is written as %40, a / as %2F, a % as %25")
    is_postgres = address.startswith("postgresql")
    if is_postgres and driver_is_late() and importlib.util.find_spec("psycopg"):
        raise RuntimeError(
            "its driver must be loaded before TensorFlow, or it dies at its first TLS connection; "
            "write `import psycopg` above `import tensorflow`, or name the database by "
            "LARIAT_STORAGE or MLFLOW_TRACKING_URI before Lariat is imported"
        )
    arguments = {"connect_timeout": ANSWER_SECONDS} if is_postgres else {}
    return sa.create_engine(address, connect_args=arguments)
