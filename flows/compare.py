"""The flow of ``sdrm compare``: fit and measure each arm with each seed, judge their utility, and write a table.

An arm is a generator of synthetic users; a judge is a recommender that measures their utility.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from sdrm_core.errors import SdrmError
from sdrm_core.loops import usable_cores
from tasks.claims import INPUT, claimed
from tasks.compare.cells import families
from tasks.compare.plan import Compared, Comparison, Job
from tasks.compare.results import write_results
from tasks.compare.stages import (
    fit_and_sample,
    judge_augmentation,
    judge_utility,
    labels_of,
    measure_arm,
    open_comparison,
)
from tasks.ingest import ingest
from tasks.matrix import build_matrix

_CORES_A_WORKER = 2  # one fit keeps two cores busy


def default_workers() -> int:
    """Return how many tasks of the comparison to run at the same time on this machine."""
    return max(1, usable_cores() // _CORES_A_WORKER)


def run_comparison(comparison: Comparison, *, workers: int) -> Compared:
    """Run the flow with ``workers`` tasks at the same time; their number changes no result.

    Raises:
        ConfigError: the output directory has other files or results of other settings, or is among the releases.
        DataError: the output directory cannot be written, or the source cannot be used.
        SdrmError: another process works in the output directory, or a part of the comparison failed.
    """
    runner: Any = ThreadPoolTaskRunner(max_workers=workers)
    # The lock surrounds the flow: after an interruption, the flow's threads still finish their present work.
    paths = comparison.config.paths
    with claimed(comparison.out, command="compare", question=comparison.question(), paths=paths):
        return compare.with_options(task_runner=runner)(comparison)


@flow(
    name="compare",
    flow_run_name="{comparison.config.dataset} seed {comparison.config.seed}",
    persist_result=True,
    result_serializer="json",
    validate_parameters=True,
)
def compare(comparison: Comparison) -> Compared:
    """Compare arms by utility, fidelity, privacy and time.

    The caller must have locked the output directory. Results that an earlier call finished there are reused.

    Raises:
        ConfigError: the output directory has results of other data.
        DataError: the source cannot be used.
        SdrmError: an arm or a judge failed. All other results are in the table, unless no arm or no judge is left.
    """
    paths = comparison.config.paths.model_copy(update={"work": comparison.out / INPUT})
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
    """A submitted task of the comparison.

    Attributes:
        about: what is left out if the task fails: a family of arms, an arm, or a judge.
        name: name for messages.
        future: future of the task.
    """

    about: str
    name: str
    future: PrefectFuture[Any]


class Failures(dict[str, SdrmError]):
    """The errors of failed tasks, by ``Piece.name``."""

    def of(self, pieces: Iterable[Piece]) -> list[str]:
        """Wait for all tasks, store the errors of those that failed, and return their ``about``.

        Raises:
            Exception: the first error that is not an ``SdrmError``, after all tasks have ended.
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
        """Return one error that lists all failures; ``result`` says what is available nevertheless."""
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
