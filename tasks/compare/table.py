"""All figures of a comparison as rows: arm, measure, value and interval."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from sdrm_core.config import JudgeName
from sdrm_core.privacy.verdicts import Verdict, strictest_of
from sdrm_core.quality.bootstrap import IntervalEstimate
from sdrm_core.quality.utility import MetricReport, Resampled, difference, report_arms
from sdrm_core.records import Artifact, Record
from sdrm_core.storage import write_artifact
from tasks.compare.cells import fidelity_cell, gain_cell, privacy_cell, ranks_cell, users_cell
from tasks.compare.plan import REAL, ArmChoice, Job

HOLDOUT = "holdout"

Kind = Literal["utility", "difference", "augmentation", "fidelity", "privacy", "cost"]
Interval = Literal["95 % bootstrap", "lowest and highest seed", ""]


class Row(Record):
    """One figure of one arm.

    Attributes:
        arm: the arm's label; ``real`` means the training users, ``holdout`` real users that no arm has seen.
        kind: the part of the comparison it belongs to.
        judge: the recommender; empty if the figure has none.
        measure: name of the figure.
        versus: for a difference or a ratio, the arm it is compared with; otherwise empty.
        value: mean over the seeds; null if it is undefined.
        low: lower end of the interval.
        high: upper end of the interval.
        interval: kind of the interval.
        seeds: number of seeds behind the value.
        verdict: better, worse or no difference; for privacy, the strictest verdict of the seeds.
    """

    arm: str
    kind: Kind
    judge: str = ""
    measure: str
    versus: str = ""
    value: float | None
    low: float | None
    high: float | None
    interval: Interval
    seeds: int
    verdict: str = ""


def table_rows(job: Job) -> list[Row]:
    """Return every figure of the finished comparison."""
    rows: list[Row] = []
    for judge in job.comparison.judges:
        rows += _utility(job, judge)
        rows += _augmentation(job, judge)
    for choice in job.comparison.arms:
        rows += [*_fidelity(job, choice), *_privacy(job, choice), *_cost(job, choice)]
    return [*rows, *_holdout(job)]


def write_table(path: Path, rows: Sequence[Row]) -> Artifact:
    """Write the rows as Parquet."""
    frame = pd.DataFrame([row.model_dump() for row in rows])
    return write_artifact(path, lambda temporary: frame.to_parquet(temporary, index=False))


def reports_of(job: Job, cell: Any, choice: ArmChoice) -> list[dict[str, Any]]:
    """Return an arm's reports, one for each seed; ``cell`` is the function that returns the cell of a report."""
    return [cell(job, choice, seed).read() for seed in job.comparison.seeds]


def _utility(job: Job, judge: JudgeName) -> Iterator[Row]:
    asked, config = job.comparison, job.comparison.config
    values = {REAL: ranks_cell(job, judge, None, asked.seeds[0]).ranks()[None]}
    for choice in asked.arms:
        values[choice.label] = np.stack([ranks_cell(job, judge, choice, seed).ranks() for seed in asked.seeds])
    draws = config.utility.bootstrap_draws
    arms = {arm: Resampled.of(ranks, draws=draws, seed=config.seed) for arm, ranks in values.items()}
    for arm, metrics in report_arms(arms).items():
        for metric, report in metrics.items():
            yield from _metric_rows(arm, judge, metric, report, seeds=len(values[arm]))
    ours = [choice.label for choice in asked.arms if choice.is_ours and choice.times == 1]
    others = [choice.label for choice in asked.arms if not choice.is_ours and choice.times == 1]
    for arm, other in ((arm, other) for arm in ours for other in others):
        for metric, found in difference(arms[arm], arms[other]).items():
            yield _estimated(
                found.difference,
                arm=arm,
                kind="difference",
                judge=judge,
                measure=metric,
                versus=other,
                seeds=len(asked.seeds),
                verdict=found.verdict,
            )


def _metric_rows(arm: str, judge: str, metric: str, report: MetricReport, *, seeds: int) -> Iterator[Row]:
    common: dict[str, Any] = {"arm": arm, "judge": judge, "seeds": seeds}
    yield _estimated(report.mean, kind="utility", measure=metric, **common)
    if report.ratio and report.difference:
        yield _estimated(report.ratio, kind="utility", measure=f"{metric} ratio", versus=REAL, **common)
        yield _estimated(
            report.difference, kind="difference", measure=metric, versus=REAL, verdict=report.verdict, **common
        )


def _augmentation(job: Job, judge: JudgeName) -> Iterator[Row]:
    for choice in (choice for choice in job.comparison.arms if choice.is_ours):
        cell = gain_cell(job, judge, choice)
        if not cell.is_finished:
            continue
        gains = cell.read()["judges"][judge]
        common: dict[str, Any] = {"arm": choice.label, "judge": judge, "seeds": len(job.comparison.seeds)}
        for metric, report in gains["metrics"].items():
            found = MetricReport.model_validate(report)
            if found.difference:
                yield _estimated(
                    found.difference, kind="augmentation", measure=metric, versus=REAL, verdict=found.verdict, **common
                )
        weight = gains["weight"]
        yield Row(kind="augmentation", measure="weight", value=weight, low=None, high=None, interval="", **common)


def _fidelity(job: Job, choice: ArmChoice) -> Iterator[Row]:
    reports = reports_of(job, fidelity_cell, choice)
    for name in reports[0]["figures"]:
        values = [report["figures"][name]["synthetic"] for report in reports]
        yield _over_seeds(values, arm=choice.label, kind="fidelity", measure=name)


def _holdout(job: Job) -> Iterator[Row]:
    """Yield the fidelity figures of the holdout users, which are the same in every report."""
    report = fidelity_cell(job, job.comparison.arms[0], job.comparison.seeds[0]).read()
    for name, figure in report["figures"].items():
        yield _over_seeds([figure["holdout"]], arm=HOLDOUT, kind="fidelity", measure=name)


def _privacy(job: Job, choice: ArmChoice) -> Iterator[Row]:
    reports = reports_of(job, privacy_cell, choice)
    verdicts = [strictest_of(gate["verdict"] for gate in report["gates"]) for report in reports]  # also if accepted
    passed = [verdict == Verdict.PASS for verdict in verdicts]
    verdict = strictest_of(verdicts)
    yield _over_seeds(passed, arm=choice.label, kind="privacy", measure="all gates passed", verdict=verdict)
    for place, name in enumerate(gate["gate"] for gate in reports[0]["gates"]):
        gates = [report["gates"][place] for report in reports]
        passed = [gate["verdict"] == Verdict.PASS for gate in gates]
        verdict = strictest_of(gate["verdict"] for gate in gates)
        yield _over_seeds(passed, arm=choice.label, kind="privacy", measure=f"{name} passed", verdict=verdict)
        yield from _privacy_figures(name, gates, choice)


def _privacy_figures(gate: str, verdicts: Sequence[dict[str, Any]], choice: ArmChoice) -> Iterator[Row]:
    """Yield the figures and baselines of one gate. Where a seed lacks a figure, the verdict of its gate counts."""
    by_seed = [{figure["name"]: figure for figure in verdict["figures"]} for verdict in verdicts]
    for name in _names(by_seed):
        effects = [figures[name]["effect"] if name in figures else None for figures in by_seed]
        each = zip(by_seed, verdicts, strict=True)
        verdict = strictest_of(figures.get(name, of_gate)["verdict"] for figures, of_gate in each)
        yield _over_seeds(effects, arm=choice.label, kind="privacy", measure=f"{gate}: {name}", verdict=verdict)
    baselines = [verdict["baseline"] for verdict in verdicts]
    for name in _names(baselines):
        values = [baseline.get(name) for baseline in baselines]
        yield _over_seeds(values, arm=choice.label, kind="privacy", measure=f"{gate}, baseline: {name}")


def _names(by_seed: Sequence[dict[str, Any]]) -> dict[str, None]:
    """Return all names that occur in at least one seed, each once."""
    return dict.fromkeys(name for named in by_seed for name in named)


def _cost(job: Job, choice: ArmChoice) -> Iterator[Row]:
    reports = reports_of(job, users_cell, choice)
    for name in ("fit_seconds", "sample_seconds"):
        yield _over_seeds([report[name] for report in reports], arm=choice.label, kind="cost", measure=name)


def _estimated(found: IntervalEstimate, **about: Any) -> Row:
    verdict = about.pop("verdict", None) or ""
    return Row(value=found.value, low=found.low, high=found.high, interval="95 % bootstrap", verdict=verdict, **about)


def _over_seeds(values: Sequence[float | None], **about: Any) -> Row:
    """Return a row with the mean, minimum and maximum over the seeds; all None if a value is None."""
    numbers = [float(value) for value in values if value is not None]
    is_defined = len(numbers) == len(values)
    return Row(
        value=float(np.mean(numbers)) if is_defined else None,
        low=min(numbers) if is_defined else None,
        high=max(numbers) if is_defined else None,
        interval="lowest and highest seed",
        seeds=len(values),
        **about,
    )
