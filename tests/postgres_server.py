"""A real PostgreSQL on loopback, with TLS and passwords, that can be stopped and started again."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from faulty_server import signed

USER, PASSWORD = "anna", "p@ss/w:rd %1"
"""A password of characters that an address must write as %40, %2F and so on."""

ENCODED = quote(PASSWORD, safe="")
SETTINGS = (
    "listen_addresses = '127.0.0.1'",
    "ssl = on",
    "ssl_cert_file = 'server.pem'",
    "ssl_key_file = 'server.pem'",
    "fsync = off",  # a stopped server loses nothing by it, only a stopped machine
    "shared_buffers = 64MB",
)


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, of the newest version that is installed."""
    if found := shutil.which("pg_ctl"):
        beside = Path(found).resolve().parent
        if (beside / "initdb").exists():
            return beside
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


def _unprivileged() -> str | None:
    """The user whom the server runs as, where it is not this one: it refuses root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@dataclass
class Postgres:
    """A server whose data are in a folder of its own.

    certificate: of its authority, which is itself.
    """

    folder: Path
    bin: Path
    port: int
    certificate: Path
    user: str | None

    def run(self, program: str, *options: object, **others: object) -> subprocess.CompletedProcess:
        """One of PostgreSQL's programs, as the server's user."""
        return subprocess.run(
            [str(self.bin / program), *map(str, options)],
            user=self.user,
            group=None if self.user is None else pwd.getpwnam(self.user).pw_gid,
            extra_groups=None if self.user is None else [],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
            **others,
        )

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        data, log = self.folder / "data", self.folder / "log"
        self.run("pg_ctl", "-D", data, "-l", log, "-w", "-t", 60, "start")

    def stop(self) -> None:
        """As when its machine fails: connections break, and nothing is put in order."""
        self.run("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "-w", "stop")

    def sql(self, *statements: str, database: str = "postgres", password: str = PASSWORD) -> list:
        """The rows of the last statement, each run by itself."""
        import psycopg

        address = {"host": "127.0.0.1", "port": self.port, "dbname": database}
        with psycopg.connect(
            **address, user=USER, password=password, autocommit=True
        ) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def database(self, name: str) -> str:
        """The address of a database that is made anew, password and all."""
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"')
        return self.address(name)

    def address(self, database: str, password: str = ENCODED, options: str = "") -> str:
        """`postgresql://…` of a database, whether it is there or not."""
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}{options}"

    def tables(self, database: str) -> dict[str, list]:
        """Every table of a database and its rows."""
        tables = self.sql(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
            database=database,
        )
        return {
            table: self.sql(f'SELECT * FROM "{table}"', database=database) for (table,) in tables
        }

    def dump(self, database: str) -> str:
        """All that is in a database, as text."""
        return repr(self.tables(database))


@contextmanager
def postgres(bin_folder: Path) -> Iterator[Postgres]:
    """A server of its own, until the block ends."""
    user = _unprivileged()
    # Not in pytest's folders, which another user may not enter.
    folder = Path(tempfile.mkdtemp(prefix="lariat-postgres-"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if user is not None:
        shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)
    certificate = signed(folder / "authority.pem")
    server = Postgres(folder, bin_folder, port, certificate, user)
    try:
        _make(server)
        server.start()
        try:
            yield server
        finally:
            server.run("pg_ctl", "-D", folder / "data", "-m", "fast", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make(server: Postgres) -> None:
    secret, data = server.folder / "password", server.folder / "data"
    secret.write_text(PASSWORD)
    if server.user is not None:
        shutil.chown(secret, server.user)
    server.run(
        "initdb", "-D", data, "-U", USER, "--pwfile", secret, "-A", "scram-sha-256", "-E", "UTF8",
        "--locale", "C", "--no-sync",
    )  # fmt: skip
    secret.unlink()
    pem = data / "server.pem"
    shutil.copyfile(server.certificate, pem)
    pem.chmod(0o600)
    if server.user is not None:
        shutil.chown(pem, server.user, pwd.getpwnam(server.user).pw_gid)
    with (data / "postgresql.conf").open("a") as handle:
        handle.write(
            "\n".join((*SETTINGS, f"port = {server.port}", f"unix_socket_directories = '{data}'"))
        )
