"""PostgreSQL's driver, where it is wanted, loaded before TensorFlow.

TensorFlow puts the TLS functions that it carries before those of whatever is loaded after it, and a
driver that comes after it dies at its first TLS connection.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress

ADDRESSES = ("LARIAT_STORAGE", "MLFLOW_TRACKING_URI")
DRIVER = "psycopg"


def load_driver() -> None:
    """Load the driver if an address of PostgreSQL is in the environment or in the command."""
    words = [os.environ.get(name, "") for name in ADDRESSES] + sys.argv[1:]
    if any("postgresql" in word for word in words):
        with suppress(ImportError):  # what needs it says that it is not installed
            importlib.import_module(DRIVER)


def driver_is_late() -> bool:
    """Whether the driver would be loaded after TensorFlow by now."""
    return "tensorflow" in sys.modules and DRIVER not in sys.modules
