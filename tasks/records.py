"""What the stages of a night pass to each other and what its gates report: names of files, and numbers."""

from pathlib import Path
from typing import Any, Literal

from sdrm_core.config import PipelineConfig
from sdrm_core.records import Artifact, Counts, Record, SourceFacts

JOURNAL = "runs.jsonl"  # in the working directory, one line per run; defined here, where it needs no other imports


class ExpectationResult(Record):
    """The result of one expectation of a gate, JSON-compatible and without user ids.

    Attributes:
        type: the expectation's name in Great Expectations.
        column: the column that the expectation is about; None if it is about the whole table.
        rule: the expectation in plain words.
        severity: if the expectation is not met, ``critical`` stops the run and ``warning`` is only shown.
        success: whether the expectation is met.
        observed: the one value that is judged, e.g. a fact or a type; None if the expectation judges row by row.
        unexpected: number of rows that do not meet the expectation; None if it does not judge row by row.
        rows: number of rows of the table.
        examples: the first rows that do not meet it: position from 0 (``row``), and ``value`` unless that is secret.
        reason: why the expectation could not be evaluated, which counts as not met; empty if it was evaluated.
        why: why this is expected.
        remedy: what to do if the expectation is not met.
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
        """Return whether this result keeps its gate from passing."""
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
    """One run of the pipeline: its configuration, and the directory that holds its files."""

    config: PipelineConfig
    directory: Path
    digest: str


class Ingested(Record):
    """The interaction log as read, with real ids; the log never leaves the directory of the ingest stage."""

    run: Run
    source: SourceFacts
    interactions: Artifact


class UserItemMatrix(Record):
    """The filtered binary matrix with the users' roles, and the item ids of its columns.

    Attributes:
        has_secret_roles: whether a secret key decided the roles; otherwise the seed did, which is not secret.
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
        temperature: the temperature at which items are drawn, either configured or found.
        temperature_is_found: whether the temperature was searched for by how much leaks, or raised from such a one.
        temperature_by_activity: whether the temperature is in proportion to a user's number of items.
        item_pairs: number of pairs of items that get an offset.
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
        """Digest of the model's description, which is the last of its files and holds the digests of all others."""
        return self.files[-1].sha256


class Samples(Record):
    """Synthetic users as shards of a binary matrix, in order.

    Attributes:
        attempt: number of the attempt within the run, from 0.
        model: digest of the model that made them.
        shards: files with consecutive users; no user is split.
        counts: counts over all shards; only items that occur are counted.
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
    """A published release; ``digest`` covers only its interactions, so equal data have an equal digest."""

    path: Path
    version: str
    digest: str
