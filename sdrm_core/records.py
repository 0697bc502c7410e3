"""Records that stages pass to each other: small, immutable, with file names and numbers but never with data."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """An immutable value of a few hundred bytes, shown as JSON in Prefect's web pages."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Artifact(Record):
    """A file and the digest of its bytes, so that a change of the file is noticed."""

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
        """Return the counts with their density, which is 0 if there are no users or no items."""
        cells = users * items
        return cls(users=users, items=items, interactions=interactions, density=interactions / cells if cells else 0.0)


class SourceFacts(Record):
    """Origin of the interactions; ``sha256`` is the digest of the bytes read, ``rows`` the length of the log."""

    uri: str
    sha256: str
    rows: int


class Leak(Record):
    """How much synthetic users leak about the training users, measured with users the model was not trained on.

    Attributes:
        share: the largest of the leaks that are more than chance, on a scale from no leak (0) to the margin of its gate
            (1), measured at its upper bound. 0 if no leak is more than chance, infinite if one fails within its margin.
        bound: the same for all leaks, also those that chance explains; infinite if a gate would not pass.
        rises_with_activity: whether users with many items leak more than users with few.
    """

    share: float
    bound: float
    rises_with_activity: bool
