"""Records that the stages of a run pass to each other, and the gates' reports. They hold file names and numbers."""

from pathlib import Path
from typing import Any, Literal

from sdrm_core.config import PipelineConfig
from sdrm_core.records import Artifact, Counts, Record, SourceFacts

JOURNAL = "runs.jsonl"  # in paths.work, one line per run; defined here because this module imports little


class ExpectationResult(Record):
    """The result of one expectation of a gate, JSON-compatible and without user ids.

    Attributes:
        type: name of the expectation in Great Expectations.
        column: the checked column; None if the whole table is checked.
        rule: the expectation in plain words.
        severity: an unmet ``critical`` expectation stops the run; an unmet ``warning`` is only shown.
        success: whether the expectation is met.
        observed: the single checked value, e.g. a fact or a type; None if each row is checked.
        unexpected: number of rows that do not meet the expectation; None if it does not check each row.
        rows: number of rows of the table.
        examples: the first unexpected rows: ``row`` (position from 0), and ``value`` unless it is secret.
        reason: why the expectation could not be evaluated (it then counts as unmet); otherwise empty.
        why: reason for the expectation.
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
        """Return whether this result makes the gate fail."""
        return not self.success and self.severity == "critical"


class GateReport(Record):
    """The verdict of one gate and the results of its expectations, JSON-compatible."""

    gate: str
    verdict: Literal["PASS", "FAIL"]
    results: tuple[ExpectationResult, ...]

    @property
    def unmet(self) -> tuple[ExpectationResult, ...]:
        """Return the results that make the gate fail."""
        return tuple(result for result in self.results if result.stops)


class Run(Record):
    """One run of the pipeline: its settings, the directory of its files, and the digest that names the directory."""

    config: PipelineConfig
    directory: Path
    digest: str


class Ingested(Record):
    """The log as it was read, with real ids; the file never leaves the directory of the ingest stage."""

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
        temperature: randomness of the draw of items, configured or found by the run.
        temperature_is_found: the run chose the temperature by measuring leaks, or raised one chosen in this way.
        temperature_by_activity: whether the temperature is proportional to a user's number of items.
        doubt: doubt in what was learned of items from few people (``sampling.doubt``).
        is_sparse: whether rare items have much of the training users' interactions.
        item_pairs: number of item pairs that have an offset in the draw.
    """

    folder: Path
    files: tuple[Artifact, ...]
    curve: Artifact
    temperature: float
    temperature_is_found: bool
    temperature_by_activity: bool
    doubt: float
    is_sparse: bool
    item_pairs: int

    @property
    def sha256(self) -> str:
        """Return the digest of the last file, the model's description, which contains the digests of all others."""
        return self.files[-1].sha256


class Samples(Record):
    """Synthetic users as shards of a binary matrix, in order.

    Attributes:
        attempt: number of the attempt within the run, from 0.
        model: digest of the model that made the users.
        shards: files with consecutive users; a user is never split between files.
        counts: size of all shards together; only items that occur are counted.
    """

    attempt: int
    model: str
    shards: tuple[Artifact, ...]
    counts: Counts


class Measures(Record):
    """The files of the three reports on a set of synthetic users."""

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
    """A published release; ``digest`` depends only on the interactions, so equal data have an equal digest."""

    path: Path
    version: str
    digest: str
