"""What the stages of a night hand to one another, and its gates report: it names files and carries numbers."""

from pathlib import Path
from typing import Any, Literal

from sdrm_core.config import PipelineConfig
from sdrm_core.records import Artifact, Counts, Record, SourceFacts

JOURNAL = "runs.jsonl"  # of the working directory, one line a run; named here, where it costs no other imports


class ExpectationResult(Record):
    """What became of one expectation of a gate, JSON-compatible and free of user ids.

    Attributes:
        type: the expectation's name in Great Expectations.
        column: the column it is about; None if about the table.
        rule: the expectation in plain words.
        severity: ``critical`` stops the run if unmet, ``warning`` is shown.
        success: whether it is met.
        observed: the one value it judges, e.g. a fact or a type; None if it judges row by row.
        unexpected: rows that do not meet it; None if it does not judge row by row.
        rows: rows of the table.
        examples: the first such rows, by position from 0 (``row``), with ``value`` unless that is secret.
        reason: why it could not be evaluated, which counts as unmet; empty if it was.
        why: why it is expected.
        remedy: what to do if it is not met.
    """

    type: str
    column: str | None
    rule: str
    severity: Literal["critical", "warning"]
    success: bool
    observed: Any
    unexpected: int | None
    rows: int
    examples: tuple[dict[str, Any], ...]
    reason: str
    why: str
    remedy: str

    @property
    def stops(self) -> bool:
        """Return whether it keeps its gate from passing."""
        return not self.success and self.severity == "critical"


class GateReport(Record):
    """The verdict of one gate and the results of its expectations, JSON-compatible."""

    gate: str
    verdict: Literal["PASS", "FAIL"]
    results: tuple[ExpectationResult, ...]

    @property
    def unmet(self) -> tuple[ExpectationResult, ...]:
        """Return the results that keep the gate from passing."""
        return tuple(result for result in self.results if result.stops)


class Run(Record):
    """One run of the pipeline: what it was asked for, and the directory that holds its files."""

    config: PipelineConfig
    directory: Path
    digest: str


class Ingested(Record):
    """The log as read, real ids included: it never leaves the ingest stage's directory."""

    run: Run
    source: SourceFacts
    interactions: Artifact


class UserItemMatrix(Record):
    """The filtered binary matrix with the users' roles, and the item ids of its columns.

    Attributes:
        has_secret_roles: whether a secret decided the roles; else the seed did, which is no secret.
    """

    user_items: Artifact
    items: Artifact
    counts: Counts
    users_by_role: dict[str, int]
    has_secret_roles: bool


class TrainedVae(Record):
    """The pretrained MultiVAE and its training curve."""

    weights: Artifact
    curve: Artifact
    epochs: int


class FittedModel(Record):
    """The folder of a fitted model: weights, item map, draw statistics, configuration.

    Attributes:
        temperature: at which items are drawn, given or found.
        temperature_is_found: it was searched for by what leaks, or raised from such a temperature.
        temperature_by_activity: the temperature is in proportion to a user's number of items.
        item_pairs: pairs of items that get an offset.
    """

    folder: Path
    files: tuple[Artifact, ...]
    curve: Artifact
    temperature: float
    temperature_is_found: bool
    temperature_by_activity: bool
    item_pairs: int

    @property
    def sha256(self) -> str:
        """Digest of the model's description, the last of its files, which holds the digests of all others."""
        return self.files[-1].sha256


class Samples(Record):
    """Synthetic users as shards of a binary matrix, in order.

    Attributes:
        attempt: number of the attempt within the run, from 0.
        model: digest of the model that made them.
        shards: files with consecutive users; no user is split.
        counts: of all shards; items are those that occur.
    """

    attempt: int
    model: str
    shards: tuple[Artifact, ...]
    counts: Counts


class Measures(Record):
    """The reports on a set of synthetic users."""

    fidelity: Artifact
    utility: Artifact
    privacy: Artifact


class FileFacts(Record):
    """A file of a release; ``path`` is relative to the release's folder."""

    path: Path
    sha256: str
    rows: int
    bytes: int


class Release(Record):
    """A published release; ``digest`` is over its interactions alone, so equal data has an equal digest."""

    path: Path
    version: str
    digest: str
