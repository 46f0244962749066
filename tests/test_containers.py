"""The image and the compose file are well-formed and say what the project says elsewhere."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

PROJECT = Path(__file__).resolve().parents[1]
FOLDER = PROJECT / "docker"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "lariat"]


def instructions() -> list[tuple[str, str]]:
    """(instruction, its words) of the Containerfile, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (FOLDER / "Containerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line)]


def words(value: str | list[str] | None) -> list[str]:
    """Of an entry point or a command, which may be a text or a list."""
    return shlex.split(value) if isinstance(value, str) else list(value or [])


def test_the_image_has_a_python_that_the_project_supports_and_its_pinned_lists() -> None:
    said = instructions()
    (base,) = (rest for word, rest in said if word == "FROM")
    assert "python:${PYTHON}-" in base
    (version,) = (rest.removeprefix("PYTHON=") for word, rest in said if word == "ARG")
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert SpecifierSet(project["requires-python"]).contains(f"{version}.0")
    runs = " ".join(rest for word, rest in said if word == "RUN")
    (listed,) = re.findall(r"--requirement \S*/(\S+)", runs)
    assert "-r requirements.txt" in (PROJECT / listed).read_text().splitlines()
    pinned = {Requirement(line).name for line in (PROJECT / listed).read_text().splitlines()
              if line and line[0] not in "#-"}  # fmt: skip
    assert pinned >= {"distributed", "psycopg", "boto3"}


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    kept = [line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines()
            if line.startswith("!")]  # fmt: skip
    copied = [name for word, rest in instructions() if word == "COPY" for name in rest.split()[:-1]]
    assert len(copied) > 5
    for name in copied:
        assert (PROJECT / name).exists()
        assert any(Path(name).match(pattern) for pattern in kept), name
    # The image is not run as root.
    assert [rest for word, rest in instructions() if word == "USER"] == ["lariat"]


@pytest.mark.parametrize("service", OURS)
def test_the_command_of_each_service_exists_and_knows_its_options(service: str) -> None:
    said = SERVICES[service]
    program, *rest = [*words(said["entrypoint"]), *words(said["command"])]
    rest = [word.replace("/opt/lariat", str(PROJECT)) for word in rest]
    beside = Path(sys.executable).parent / program
    assert beside.exists() or shutil.which(program)
    # A script is asked for its help with a wrong option: it names those it has.
    leading = [word for word in rest if not word.startswith("-") and "://" not in word]
    help_of = subprocess.run(
        [beside, *leading, "--help"], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    options = {word.partition("=")[0] for word in rest if word.startswith("--")}
    missing = {option for option in options if option not in help_of}
    assert missing == set()


def test_services_find_each_other_and_no_password_is_written_down() -> None:
    for name, service in SERVICES.items():
        text = json.dumps(service)
        hosts = re.findall(r"://(?:\w+@)?([a-z]+)[:/]", text)
        assert {h for h in hosts if h != "localhost"} <= SERVICES.keys(), name
        assert "PASSWORD" not in text or "${PGPASSWORD:?" in text
        assert not re.search(r"://\w*:[^/@\"]+@", text)
        for mount in service.get("volumes", ()):
            source = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", mount).split(":")[0]
            is_path = source.startswith(".")
            assert (FOLDER / source).exists() if is_path else source in COMPOSE["volumes"]
    # The databases that services name are made by PostgreSQL's first start.
    named = set(re.findall(r"@database/(\w+)", json.dumps(SERVICES)))
    made = set(re.findall(r"CREATE DATABASE (\w+);", (FOLDER / "databases.sql").read_text()))
    assert named == made | {SERVICES["database"]["environment"]["POSTGRES_DB"]}
