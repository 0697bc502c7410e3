"""The plots of a comparison, as SVG and PNG files."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdrm_core.config import JudgeName
from sdrm_core.storage import write_artifact
from tasks.compare.cells import fidelity_cell, privacy_cell
from tasks.compare.markdown import Table
from tasks.compare.plan import REAL, Job
from tasks.compare.table import Row
from tasks.wording import JUDGES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = (7.2, 4.6)  # inches
_DOTS = 160  # per inch of a PNG
_INK, _MUTED, _LINE, _REAL = "#1b1f24", "#5d6672", "#dfe3e8", "#aab2bd"  # of the report's light theme
# Okabe and Ito's colours, which colour-blind readers can distinguish; dashes and markers differ too.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8a5300")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (9, 2)))
_MARKERS = "osD^vP*XhpdH"
_PREFERRED: tuple[JudgeName, ...] = ("ease", "svd", "ials", "neumf", "mlp", "popularity")
_METRIC = "recall@10"
_GATE, _FIGURE = "membership", "auc"


def plot_comparison(job: Job, rows: Sequence[Row]) -> tuple[Path, ...]:
    """Write three plots (utility against privacy, item popularity, user activity) and return the paths of the files."""
    table, out = Table(rows), job.comparison.out
    return (
        *_plot(out, "utility_privacy", lambda axes: _utility_privacy(axes, job, table)),
        *_plot(out, "popularity", lambda axes: _popularity(axes, job)),
        *_plot(out, "activity", lambda axes: _activity(axes, job)),
    )


def _plot(out: Path, name: str, draw: Callable[["Axes"], None]) -> Iterator[Path]:
    with _figure(name) as figure:
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_LINE)
        axes.tick_params(which="both", color=_LINE, labelcolor=_MUTED, labelsize=9)
        axes.grid(color=_LINE, linewidth=0.6)
        axes.set_axisbelow(True)
        draw(axes)
        for kind, about in (("svg", {"Date": None}), ("png", {"Software": None})):
            path = out / f"{name}.{kind}"
            write_artifact(
                path,
                lambda temporary, kind=kind, about=about: figure.savefig(  # type: ignore[misc]
                    temporary, format=kind, metadata=about, dpi=_DOTS
                ),
            )
            yield path


@contextmanager
def _figure(name: str) -> Iterator[Any]:
    import matplotlib  # costs half a second
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": name}):
        yield Figure(figsize=_SIZE, layout="constrained", facecolor="white")


def _utility_privacy(axes: "Axes", job: Job, table: Table) -> None:
    judge = _judge_shown(job.comparison.judges)
    for choice, style in zip(job.comparison.arms, _styles(), strict=False):
        utility = table.find(choice.label, "utility", f"{_METRIC} ratio", judge=judge, versus=REAL)
        attack = table.find(choice.label, "privacy", f"{_GATE}: {_FIGURE}")
        if not utility or not attack or utility.value is None or attack.value is None:
            continue
        axes.errorbar(
            attack.value,
            utility.value,
            xerr=_bars(attack),
            yerr=_bars(utility),
            color=style["color"],
            marker=style["marker"],
            linestyle="none",
            capsize=2,
            label=choice.label,
        )
    if (margin := _margin(job)) is not None:
        axes.axvline(margin, color=_MUTED, linewidth=1, linestyle="--", label="what the gate tolerates at most")
    axes.axvline(0.5, color=_REAL, linewidth=1.5, label="guessing")
    axes.axhline(1, color=_REAL, linewidth=3, zorder=0, label="real users")
    _label(
        axes,
        x="AUC of the best membership attack (bars: range of the seeds)",
        y=f"{_METRIC} of {JUDGES[judge]} over that on real users (95 %)",
    )
    _legend(axes)


def _judge_shown(judges: Sequence[JudgeName]) -> JudgeName:
    return next((judge for judge in _PREFERRED if judge in judges), judges[0])


def _popularity(axes: "Axes", job: Job) -> None:
    for place, (label, curves, style) in enumerate(_curves(job)):
        if not place:
            _line(axes, curves["popularity_rank"], curves["popularity_real"], _real_style(), label="training users")
        _line(axes, curves["popularity_rank"], curves["popularity_synthetic"], style, label=label)
    axes.set(xscale="log", yscale="log")
    _label(axes, x="rank of the item, most popular first", y="share of users that have it")
    _legend(axes)


def _activity(axes: "Axes", job: Job) -> None:
    for place, (label, curves, style) in enumerate(_curves(job)):
        if not place:
            _line(axes, curves["activity"], curves["activity_real"], _real_style(), label="training users")
        _line(axes, curves["activity"], curves["activity_synthetic"], style, label=label)
    axes.set(xscale="log", ylim=(0, 1.02))
    _label(axes, x="items of a user, at least", y="share of users")
    _legend(axes)


def _curves(job: Job) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield the label, the fidelity curves of the first seed, and the line style of each arm."""
    for choice, style in zip(job.comparison.arms, _styles(), strict=False):
        line = {"color": style["color"], "linestyle": style["linestyle"], "linewidth": 1.3}
        yield choice.label, fidelity_cell(job, choice, job.comparison.seeds[0]).read()["curves"], line


def _styles() -> Iterator[dict[str, Any]]:
    for color, dashes, marker in zip(cycle(_COLOURS), cycle(_DASHES), cycle(_MARKERS), strict=False):
        yield {"color": color, "linestyle": dashes, "marker": marker}


def _real_style() -> dict[str, Any]:
    return {"color": _REAL, "linewidth": 4, "zorder": 0}


def _line(axes: "Axes", x: Sequence[float], y: Sequence[float], style: dict[str, Any], *, label: str) -> None:
    axes.plot(x, [value if value > 0 else float("nan") for value in y], label=label, **style)


def _bars(row: Row) -> list[list[float]] | None:
    if row.value is None or row.low is None or row.high is None:
        return None
    return [[max(0.0, row.value - row.low)], [max(0.0, row.high - row.value)]]


def _margin(job: Job) -> float | None:
    report = privacy_cell(job, job.comparison.arms[0], job.comparison.seeds[0]).read()
    figures = [figure for gate in report["gates"] if gate["gate"] == _GATE for figure in gate["figures"]]
    return next((float(figure["margin"]) for figure in figures if figure["name"] == _FIGURE), None)


def _label(axes: "Axes", *, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=9, color=_MUTED)
    axes.set_ylabel(y, fontsize=9, color=_MUTED)


def _legend(axes: "Axes") -> None:
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9, labelcolor=_INK)
