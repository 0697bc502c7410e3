"""Values that move between stages: small frozen records that name files and carry numbers, never data."""

from pathlib import Path

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


class SourceFacts(Record):
    """Where the interactions came from; ``sha256`` is over the bytes read, ``rows`` the log's length."""

    uri: str
    sha256: str
    rows: int


class Leak(Record):
    """How much synthetic users leak about the training users, measured with users the model was not trained on.

    Attributes:
        share: the worst of the leaks that are more than chance: how far its upper bound reaches from no leak (0) to
            the margin of its gate (1). 0 if none is more than chance, infinite if one fails within its margin.
        bound: the same of all leaks, those that chance explains too; infinite if a gate would not pass.
        rises_with_activity: whether people with many items leak more than those with few.
    """

    share: float
    bound: float
    rises_with_activity: bool
