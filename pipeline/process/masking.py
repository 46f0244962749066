"""Passwords out of text: what is printed, logged or recorded has been through `masked`."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

HIDDEN = "***"
SECRET_VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
"""Environment variables whose values are never shown."""

PASSWORD_VARIABLES = ("PGPASSWORD", "PGSSLPASSWORD")
ADDRESS_VARIABLES = ("LARIAT_STORAGE", "MLFLOW_TRACKING_URI")
"""Environment variables of databases' passwords, and of addresses: the passwords in these are never
shown, even as they are decoded."""

_USER = re.compile(
    r"(?P<scheme>[A-Za-z][\w+.-]*://)(?P<user>[^\s/@:]*)"
    r"(?P<password>:(?!\d+/)\S*)?@"  # a port and a path are none
)
_QUERY = re.compile(
    r"(?i)((?:^|[?&;\s'\"])(?:password|passwd|pwd|token|secret|sslpassword)=)[^\s&;'\"]+"
)
_PASSWORD = re.compile(r"://[^/@:]*:(.*)@")


def masked(text: object) -> str:
    """The text, with *** for each password of an address and each value of SECRET_VARIABLES.

    A token that stands in an address in place of a user's name is a password too.
    """
    shown = str(text)
    for secret in _secrets():
        shown = shown.replace(secret, HIDDEN)
    shown = _USER.sub(_without_password, shown)
    return _QUERY.sub(rf"\1{HIDDEN}", shown)


def _secrets() -> list[str]:
    """Of the environment, the longest first; none so short that it would be found in any text.

    A database's password that is a plain word is hidden in addresses alone: as text it may be
    `postgres`, or a study's name.
    """
    values = {os.environ.get(name, "") for name in SECRET_VARIABLES}
    of_databases = {os.environ.get(name, "") for name in PASSWORD_VARIABLES}
    for name in ADDRESS_VARIABLES:
        if found := _PASSWORD.search(os.environ.get(name, "")):
            of_databases |= {found[1], unquote(found[1])}
    values |= {value for value in of_databases if not value.isalpha()}
    return sorted((value for value in values if len(value) > 3), key=len, reverse=True)


def has_password(address: str) -> bool:
    """Whether an address holds what `masked` hides."""
    return masked(address) != address


def _without_password(address: re.Match) -> str:
    if address["password"]:
        return f"{address['scheme']}{address['user']}:{HIDDEN}@"
    is_token = address["scheme"].lower().startswith("http")
    return f"{address['scheme']}{HIDDEN if is_token else address['user']}@"
