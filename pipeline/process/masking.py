"""Passwords out of text: what is printed, logged or recorded has been through `masked`."""

from __future__ import annotations

import os
import re

HIDDEN = "***"
SECRET_VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
"""Environment variables whose values are never shown."""

_USER = re.compile(
    r"(?P<scheme>[A-Za-z][\w+.-]*://)(?P<user>[^\s/@:]*)"
    r"(?P<password>:(?!\d+/)(?:[^\s/]*|[^\s@]*))?@"  # a port and a path are none
)
_QUERY = re.compile(r"(?i)([?&;](?:password|passwd|pwd|token|secret|sslpassword)=)[^\s&;'\"]+")


def masked(text: object) -> str:
    """The text, with *** for each password of an address and each value of SECRET_VARIABLES.

    A token that stands in an address in place of a user's name is a password too.
    """
    shown = _USER.sub(_without_password, str(text))
    shown = _QUERY.sub(rf"\1{HIDDEN}", shown)
    for name in SECRET_VARIABLES:
        if (value := os.environ.get(name)) and len(value) > 3:
            shown = shown.replace(value, HIDDEN)
    return shown


def has_password(address: str) -> bool:
    """Whether an address holds what `masked` hides."""
    return masked(address) != address


def _without_password(address: re.Match) -> str:
    if address["password"]:
        return f"{address['scheme']}{address['user']}:{HIDDEN}@"
    is_token = address["scheme"].lower().startswith("http")
    return f"{address['scheme']}{HIDDEN if is_token else address['user']}@"
