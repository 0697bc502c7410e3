"""The comparison as a Markdown page: tables of utility, augmentation gains, fidelity, privacy and time."""

from collections.abc import Callable, Iterable, Sequence

from sdrm_core.data.roles import Role
from tasks.compare.plan import REAL, Job
from tasks.compare.table import HOLDOUT, Kind, Row
from tasks.wording import (
    FIGURES,
    JUDGES,
    MISSING,
    PRIVACY_GATES,
    duration,
    figure,
    interval,
    ordered,
    ratio,
    signed,
    whole,
)

_SHOWN_METRICS = ("recall@10", "ndcg@10")
_NAMES = {REAL: "real training users", HOLDOUT: "real holdout users"}


class Table:
    """Look-up of the rows by arm, kind, judge, measure and the arm it is compared with (``versus``)."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._by_key = {(row.arm, row.kind, row.judge, row.measure, row.versus): row for row in rows}

    def find(self, arm: str, kind: Kind, measure: str, *, judge: str = "", versus: str = "") -> Row | None:
        """Return the row, or None if there is none."""
        return self._by_key.get((arm, kind, judge, measure, versus))


def comparison_markdown(job: Job, rows: Sequence[Row]) -> str:
    """Return the whole page as Markdown."""
    table = Table(rows)
    parts = [
        _head(job),
        *_utility(job, table),
        *_differences(job, table),
        *_augmentation(job, table),
        *_fidelity(job, table, rows),
        *_privacy(job, table),
        *_cost(job, table),
        "## How this was made\n",
        f"```console\n{job.comparison.command}\n```\n",
    ]
    return "\n".join(parts)


def _head(job: Job) -> str:
    asked, matrix = job.comparison, job.matrix
    users = ", ".join(f"{whole(matrix.users_by_role[role.name.lower()])} {role.name.lower()}" for role in Role)
    seeds = ", ".join(str(seed) for seed in asked.seeds)
    return (
        f"# Comparison on {asked.config.dataset}\n\n"
        f"{whole(matrix.counts.users)} users ({users}), {whole(matrix.counts.items)} items, "
        f"{whole(matrix.counts.interactions)} interactions after the filter. Seeds of training and sampling: {seeds}; "
        "the users' roles and the divisions of their items by the judges are the same for all seeds. An arm is one way "
        "to make synthetic users. It learns from the training users only and makes as many synthetic users as there "
        "are training users; `@10` is the same fitted arm making ten times as many.\n\n"
        "Read utility, fidelity and privacy together: an arm that copies its training users wins the first two.\n"
    )


def _what_intervals_hold(job: Job) -> str:
    if len(job.comparison.seeds) > 1:
        return "The 95 % intervals resample users in pairs; the variation over seeds enters by Student's t."
    return "The 95 % intervals resample users in pairs, with these synthetic users; other seeds may differ by more."


def _utility(job: Job, table: Table) -> Iterable[str]:
    judges = job.comparison.judges
    for metric in _SHOWN_METRICS:
        yield f"## Utility: {metric} of recommenders trained on each arm, divided by that of real users\n"
        yield f"Tested on evaluation users that neither arms nor recommenders saw. {_what_intervals_hold(job)}\n"
        real = [_value(table.find(REAL, "utility", metric, judge=judge)) for judge in judges]
        lines = [[f"{_NAMES[REAL]}: {metric}, not divided", *real]]
        for choice in job.comparison.arms:
            ratios = [
                table.find(choice.label, "utility", f"{metric} ratio", judge=judge, versus=REAL) for judge in judges
            ]
            lines.append([f"`{choice.label}`", *map(_ratio, ratios)])
        yield _grid(["arm", *(JUDGES[judge] for judge in judges)], lines)


def _differences(job: Job, table: Table) -> Iterable[str]:
    ours = [choice.label for choice in job.comparison.arms if choice.times == 1 and choice.is_ours]
    others = [choice.label for choice in job.comparison.arms if choice.times == 1 and not choice.is_ours]
    if not ours or not others:
        return
    metric = _SHOWN_METRICS[0]
    judges = job.comparison.judges
    yield f"## Which arm is better, by {metric}\n"
    yield (
        "The first arm minus the second, with the interval; “no difference” means that the interval contains zero. "
        f"{_what_intervals_hold(job)}\n"
    )
    lines = []
    for arm in ours:
        for other in others:
            found = [table.find(arm, "difference", metric, judge=judge, versus=other) for judge in judges]
            lines.append([f"`{arm}`", f"`{other}`", *map(_with_verdict, found)])
    yield _grid(["arm", "versus", *(JUDGES[judge] for judge in judges)], lines)


def _augmentation(job: Job, table: Table) -> Iterable[str]:
    ours = [choice.label for choice in job.comparison.arms if choice.is_ours]
    if not ours:
        return
    judges = job.comparison.judges

    def cell(arm: str, metric: str, judge: str) -> str:
        weight = table.find(arm, "augmentation", "weight", judge=judge)
        gain = _with_verdict(table.find(arm, "augmentation", metric, judge=judge, versus=REAL))
        return f"{gain}; weight {weight.value:g}" if weight and weight.value is not None else gain

    yield "## Augmentation: what is gained by adding synthetic users to real users\n"
    yield (
        "The metric with real and synthetic users together minus the metric with real users alone. The weight of a "
        "synthetic user relative to a real one and the recommender's settings are chosen with validation users.\n"
    )
    lines = []
    for arm in ours:
        for metric in _SHOWN_METRICS:
            lines.append([f"`{arm}`", metric, *(cell(arm, metric, judge) for judge in judges)])
    yield _grid(["arm", "metric", *(JUDGES[judge] for judge in judges)], lines)


def _fidelity(job: Job, table: Table, rows: Sequence[Row]) -> Iterable[str]:
    measured = {row.measure: row for row in rows if row.kind == "fidelity" and row.arm == HOLDOUT}
    names = list(ordered(measured, FIGURES))
    arms = [HOLDOUT, *(choice.label for choice in job.comparison.arms)]
    yield "## Fidelity: compared with the training users\n"
    yield (
        "Means over the seeds. The first row shows real users that no arm has seen: perfect synthetic users would look "
        f"like them. There are {whole(job.matrix.users_by_role['holdout'])}; the fewer, the larger their distances.\n"
    )
    yield _grid(
        ["arm", *(FIGURES.get(name, name) for name in names)],
        [[_name(arm), *(_value(table.find(arm, "fidelity", name)) for name in names)] for arm in arms],
    )


def _privacy(job: Job, table: Table) -> Iterable[str]:
    seeds = len(job.comparison.seeds)
    yield "## Privacy: the verdict of each gate\n"
    yield (
        "The strictest verdict of all seeds, and how many seeds passed. All arms are measured in the same way; "
        "docs/CALIBRATION.md says what each gate can and cannot detect. A PASS means that the named attacks found no "
        "leak beyond the margin; it says nothing about usefulness.\n"
    )

    def cell(arm: str, measure: str) -> str:
        row = table.find(arm, "privacy", measure)
        if row is None or row.value is None:
            return MISSING
        return f"{row.verdict} ({round(row.value * seeds)}/{seeds})"

    measures = ["all gates passed", *(f"{gate} passed" for gate in PRIVACY_GATES)]
    lines = [
        [f"`{choice.label}`", *(cell(choice.label, measure) for measure in measures)] for choice in job.comparison.arms
    ]
    yield _grid(["arm", "all", *PRIVACY_GATES.values()], lines)


def _cost(job: Job, table: Table) -> Iterable[str]:
    yield "## Time\n"
    yield "Means over the seeds, on the machine of this comparison. Arms of one family share one fit.\n"
    lines = []
    for choice in job.comparison.arms:
        seconds = [table.find(choice.label, "cost", name) for name in ("fit_seconds", "sample_seconds")]
        lines.append([f"`{choice.label}`", *map(_seconds, seconds)])
    yield _grid(["arm", "fit", "sample"], lines)


def _name(arm: str) -> str:
    return _NAMES.get(arm, f"`{arm}`")


def _value(row: Row | None) -> str:
    return MISSING if row is None or row.value is None else figure(row.value)


def _seconds(row: Row | None) -> str:
    return MISSING if row is None or row.value is None else duration(row.value)


def _ratio(row: Row | None) -> str:
    return MISSING if row is None or row.value is None else f"{ratio(row.value)}{_interval(row, ratio)}"


def _with_verdict(row: Row | None) -> str:
    if row is None or row.value is None:
        return MISSING
    return f"{row.verdict}: {signed(row.value)}{_interval(row, figure)}"


def _interval(row: Row, write: Callable[[float | None], str]) -> str:
    told = interval({"low": row.low, "high": row.high}, write)
    return f" ({told})" if told else ""


def _grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
