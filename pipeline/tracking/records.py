"""Runs of a tracking store as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Dataset:
    """A table as the store may know it: its name, its fingerprint, what its columns are called."""

    name: str
    digest: str
    source: str
    schema: str
    profile: str


@dataclass(frozen=True)
class NewRun:
    """A run that is over when it is recorded. metrics: (name, value, timestamp in ms, step)."""

    name: str
    status: str
    start_ms: int
    end_ms: int
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Sequence[tuple[str, float, int, int]] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredRun:
    """A run as the store has it."""

    run_id: str
    experiment_id: str
    name: str
    status: str
    start_ms: int
    end_ms: int
    artifact_uri: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
