"""What moves between rooms: small frozen records that name files and carry numbers, never data."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen value of a few hundred bytes, readable as JSON in the orchestrator's pages."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Artifact(Record):
    """A file and the digest of its bytes, so that a changed file is never taken for the old one."""

    path: Path
    sha256: str


class Counts(Record):
    """Size of a set of positive interactions; density is interactions / (users × items)."""

    users: int
    items: int
    interactions: int
    density: float

    @classmethod
    def of(cls, *, users: int, items: int, interactions: int) -> "Counts":
        """Return the counts with their density; 0 for an empty grid."""
        cells = users * items
        return cls(users=users, items=items, interactions=interactions, density=interactions / cells if cells else 0.0)


class GateReport(Record):
    """The verdict of one gate and the results of its expectations, JSON-compatible."""

    gate: str
    verdict: str
    results: tuple[dict[str, Any], ...]
