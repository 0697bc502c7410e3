"""The comparison: arms × seeds are fitted and measured, each judge looks at all of them, a table sets them in order."""

import os
from collections.abc import Mapping
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from sdrm_core.errors import SdrmError
from tasks.compare import families_of, fit_and_sample, judge_augmentation, judge_utility, measure_arm, open_comparison
from tasks.compare_plan import Compared, Comparison, Job
from tasks.compare_results import write_results
from tasks.ingest import ingest
from tasks.matrix import build_matrix
from tasks.resumable import claimed

_CORES_A_WORKER = 2  # what one fit keeps busy by itself


def default_workers() -> int:
    """Return how many pieces to work on at once on this machine."""
    return max(1, (os.cpu_count() or 1) // _CORES_A_WORKER)


def run_comparison(comparison: Comparison, *, workers: int) -> Compared:
    """Run the flow with so many pieces at once; their number changes no result."""
    runner: Any = ThreadPoolTaskRunner(max_workers=workers)
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

    What an earlier call finished in the same directory is taken from there.

    Raises:
        ConfigError: the output directory holds something else.
        DataError: the source cannot be used.
        SdrmError: an arm could not be fitted or measured; everything else is finished and kept.
    """
    with claimed(comparison.out, command="compare", question=comparison.question()):
        paths = comparison.config.paths.model_copy(update={"work": comparison.out / "input"})
        ingested = ingest(comparison.config.model_copy(update={"paths": paths}))
        job = open_comparison(comparison, ingested, build_matrix(ingested))
        _fit_and_measure(job)
        _judge(job)
        return write_results(job)


def _fit_and_measure(job: Job) -> None:
    fits = {
        (family, seed): _named(fit_and_sample, f"fit {family}, seed {seed}").submit(job, family, seed)
        for seed in job.comparison.seeds
        for family in families_of(job)
    }
    _settle({f"{family}, seed {seed}": future for (family, seed), future in fits.items()})
    measures = {
        f"{choice.label}, seed {seed}": _named(measure_arm, f"measure {choice.label}, seed {seed}").submit(
            job, choice, seed
        )
        for choice in job.comparison.arms
        for seed in job.comparison.seeds
    }
    _settle(measures)


def _judge(job: Job) -> None:
    _settle({judge: _named(judge_utility, f"utility by {judge}").submit(job, judge) for judge in job.comparison.judges})
    gains = {judge: _named(judge_augmentation, f"augmentation by {judge}") for judge in job.comparison.judges}
    _settle({judge: task.submit(job, judge) for judge, task in gains.items()})


def _named(task: Any, name: str) -> Any:
    return task.with_options(task_run_name=name)


def _settle(futures: Mapping[str, PrefectFuture[Any]]) -> None:
    """Wait for all; then say what went wrong, if anything did.

    Raises:
        SdrmError: some could not be done, each with its reason.
        Exception: the first unexpected one, as it was.
    """
    errors: dict[str, Exception] = {}
    for name, future in futures.items():
        try:
            future.result()
        except Exception as error:  # noqa: BLE001 - collected, then raised
            errors[name] = error
    for unexpected in (error for error in errors.values() if not isinstance(error, SdrmError)):
        raise unexpected
    if errors:
        reasons = "\n".join(f"  {name}: {reason}" for name, reason in errors.items())
        raise SdrmError(
            f"{len(errors)} of {len(futures)} pieces of the comparison could not be computed; the others are kept. "
            f"Remove the cause, or leave these out:\n{reasons}"
        )
