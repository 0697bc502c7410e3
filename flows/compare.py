"""The comparison: arms × seeds are fitted and measured, each judge looks at all of them, a table sets them in order."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from sdrm_core.errors import SdrmError
from sdrm_core.loops import usable_cores
from tasks.claims import claimed
from tasks.compare import (
    fit_and_sample,
    judge_augmentation,
    judge_utility,
    labels_of,
    measure_arm,
    open_comparison,
)
from tasks.compare_cells import families
from tasks.compare_plan import Compared, Comparison, Job
from tasks.compare_results import write_results
from tasks.ingest import ingest
from tasks.matrix import build_matrix

_CORES_A_WORKER = 2  # what one fit keeps busy by itself


def default_workers() -> int:
    """Return how many pieces to work on at once on this machine."""
    return max(1, usable_cores() // _CORES_A_WORKER)


def run_comparison(comparison: Comparison, *, workers: int) -> Compared:
    """Run the flow with so many pieces at once; their number changes no result.

    Raises:
        ConfigError: the output directory holds something else.
        SdrmError: another process is at work in it.
    """
    runner: Any = ThreadPoolTaskRunner(max_workers=workers)
    # Around the flow: one that is interrupted ends when its threads have finished what they were at.
    releases = comparison.config.paths.releases
    with claimed(comparison.out, command="compare", question=comparison.question(), releases=releases):
        return compare.with_options(task_runner=runner)(comparison)


@flow(
    name="compare",
    flow_run_name="{comparison.config.dataset} seed {comparison.config.seed}",
    persist_result=True,
    result_serializer="json",
    validate_parameters=True,
)
def compare(comparison: Comparison) -> Compared:
    """Put arms side by side: utility, fidelity, privacy and cost.

    What an earlier call finished in the same directory, which the caller has claimed, is taken from there.

    Raises:
        ConfigError: the output directory is about other data.
        DataError: the source cannot be used.
        SdrmError: an arm or a judge failed; everything else is finished, and in the table.
    """
    paths = comparison.config.paths.model_copy(update={"work": comparison.out / "input"})
    ingested = ingest(comparison.config.model_copy(update={"paths": paths}))
    job, failures = open_comparison(comparison, ingested, build_matrix(ingested)), Failures()
    for step in (_fit, _measure, _judge):
        job = step(job, failures)
        if not (job.comparison.arms and job.comparison.judges):
            raise failures.error("nothing is left to compare")
    _augment(job, failures)
    compared = write_results(job)
    if failures:
        raise failures.error(f"{compared.markdown} has all others")
    return compared


@dataclass(frozen=True)
class Piece:
    """A piece at work.

    Attributes:
        about: what must be left out if the piece fails: a family of arms, an arm, or a judge.
        name: for messages.
        future: of its task.
    """

    about: str
    name: str
    future: PrefectFuture[Any]


class Failures(dict[str, SdrmError]):
    """What could not be computed, by the piece's name, and why."""

    def of(self, pieces: Iterable[Piece]) -> list[str]:
        """Wait for all pieces; note the reasons of those that failed, and return what these are about.

        Raises:
            Exception: the first unexpected one, as it was, when all have ended.
        """
        failed: list[str] = []
        unexpected: list[Exception] = []
        for piece in pieces:
            try:
                piece.future.result()
            except SdrmError as error:
                failed.append(piece.about)
                self[piece.name] = error
            except Exception as other:  # noqa: BLE001 - raised when all have ended
                unexpected.append(other)
        if unexpected:
            raise unexpected[0]
        return failed

    def error(self, result: str) -> SdrmError:
        """Return the error that says it all."""
        reasons = "\n".join(f"  {name}: {reason}" for name, reason in self.items())
        what = f"{len(self)} piece{'s' if len(self) != 1 else ''} of the comparison could not be computed; {result}"
        return SdrmError(f"{what}. Remove the cause, or leave these out:\n{reasons}")


def _fit(job: Job, failures: Failures) -> Job:
    pieces = []
    for seed in job.comparison.seeds:
        for family in families(job):
            name = f"{family}, seed {seed}"
            future = _named(fit_and_sample, f"fit {name}").submit(job, family, seed)
            pieces.append(Piece(about=family, name=name, future=future))
    failed = set(failures.of(pieces))
    return job.without(arms=[label for family in failed for label in labels_of(job, family)])


def _measure(job: Job, failures: Failures) -> Job:
    pieces = []
    for choice in job.comparison.arms:
        for seed in job.comparison.seeds:
            name = f"{choice.label}, seed {seed}"
            future = _named(measure_arm, f"measure {name}").submit(job, choice, seed)
            pieces.append(Piece(about=choice.label, name=name, future=future))
    return job.without(arms=failures.of(pieces))


def _judge(job: Job, failures: Failures) -> Job:
    pieces = []
    for judge in job.comparison.judges:
        future = _named(judge_utility, f"utility by {judge}").submit(job, judge)
        pieces.append(Piece(about=judge, name=judge, future=future))
    return job.without(judges=failures.of(pieces))


def _augment(job: Job, failures: Failures) -> None:
    pieces = []
    for judge in job.comparison.judges:
        name = f"augmentation by {judge}"
        pieces.append(Piece(about=judge, name=name, future=_named(judge_augmentation, name).submit(job, judge)))
    failures.of(pieces)


def _named(task: Any, name: str) -> Any:
    return task.with_options(task_run_name=name)
