"""The plots of the report as inline SVG, without files and without Matplotlib's global state.

The same numbers give the same bytes. Colours are CSS variables of the page, so a plot follows the page's light or dark
theme. Text is stored as text, not as shapes.
"""

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_SIZE = (4.8, 3.0)  # inches; small enough for the text to stay legible on a phone
_FEW_DECADES = 2.5

# Placeholder colours for Matplotlib, and the CSS variables of the page that replace them.
_PALETTE = {
    "#010101": "var(--ink)",
    "#020202": "var(--muted)",
    "#030303": "var(--line)",
    "#040404": "var(--real)",
    "#050505": "var(--synthetic)",
    "#060606": "var(--other)",
}
_INK, _MUTED, _LINE, _REAL, _SYNTHETIC, _OTHER = _PALETTE

# Lines differ in width and dashes too, not only in colour.
_REAL_LINE: dict[str, Any] = {"color": _REAL, "linewidth": 3}
_SYNTHETIC_LINE: dict[str, Any] = {"color": _SYNTHETIC, "linewidth": 1.4}
_OTHER_LINE: dict[str, Any] = {"color": _OTHER, "linewidth": 1.2, "linestyle": (0, (1, 1.5))}

_PROLOG = re.compile(r"\A.*?(?=<svg)", re.DOTALL)
_SVG_TAG = re.compile(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>')
_IDLE = re.compile(r"\s*(<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->)", re.DOTALL)
_ID = re.compile(r' id="([^"]+)"')


@dataclass
class _Canvas:
    """A figure; ``svg`` is filled when it is finished."""

    figure: "Figure"
    svg: str = field(default="")

    def panels(self, rows: int = 1) -> "list[Axes]":
        """Return ``rows`` panels one below the other, which share their horizontal axis."""
        grid = self.figure.subplots(rows, 1, sharex=True, squeeze=False)
        for axes in grid.ravel():
            axes.set_facecolor("none")
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set_color(_LINE)
            axes.tick_params(which="both", color=_LINE, labelcolor=_MUTED, labelsize=8.5)
            axes.grid(color=_LINE, linewidth=0.6)
            axes.set_axisbelow(True)
        return list(grid.ravel())


@contextmanager
def _canvas(name: str, *, alt: str) -> Iterator[_Canvas]:
    """Yield an empty figure, and set its ``svg`` at the end of the block.

    name: makes the SVG's ids different from those of the other plots on the page.
    """
    import matplotlib  # costs half a second, and only a report needs it
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        canvas = _Canvas(Figure(figsize=_SIZE, layout="constrained", facecolor="none"))
        yield canvas
        text = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        canvas.figure.savefig(text, format="svg", metadata=nothing)
    canvas.svg = _inline(text.getvalue(), alt=alt)


def _inline(svg: str, *, alt: str) -> str:
    """Turn an SVG file into a part of a page: without prolog, fixed size and unused ids, with the page's colours."""
    svg = _IDLE.sub("", _PROLOG.sub("", svg))
    svg = _SVG_TAG.sub(lambda tag: f'<svg viewBox="{tag[1]}" role="img" aria-label="{escape(alt)}">', svg, count=1)
    svg = _ID.sub(lambda attribute: attribute[0] if f"#{attribute[1]}" in svg else "", svg)
    svg = svg.replace("xlink:href", "href")
    for stand_in, variable in _PALETTE.items():
        svg = svg.replace(stand_in, variable)
    return svg.strip()


def plot_popularity(curves: Mapping[str, Any]) -> str:
    """Plot the share of users who have an item against the item's rank, on logarithmic axes."""
    alt = "Rank-frequency plot of item popularity on logarithmic axes, real users beside synthetic users"
    with _canvas("popularity", alt=alt) as canvas:
        (axes,) = canvas.panels()
        rank = curves["popularity_rank"]
        axes.plot(rank, _above_zero(curves["popularity_real"]), **_REAL_LINE, label="real")
        axes.plot(rank, _above_zero(curves["popularity_synthetic"]), **_SYNTHETIC_LINE, label="synthetic")
        by_real_rank = _above_zero(curves["popularity_synthetic_by_real_rank"])
        axes.plot(rank, by_real_rank, **_OTHER_LINE, label="synthetic, by the real rank")
        axes.set(xscale="log", yscale="log")
        _logarithmic(axes.xaxis)
        _logarithmic(axes.yaxis)
        _label(axes, x="rank of the item, most popular first", y="share of users that have it")
        _percent(axes)
        _legend(axes, loc="lower left")
    return canvas.svg


def plot_activity(curves: Mapping[str, Any]) -> str:
    """Plot, for each number of items, the share of users who have at least that many."""
    alt = "Share of users that have at least a number of items, real users beside synthetic users"
    with _canvas("activity", alt=alt) as canvas:
        (axes,) = canvas.panels()
        axes.plot(curves["activity"], curves["activity_real"], **_REAL_LINE, label="real")
        axes.plot(curves["activity"], curves["activity_synthetic"], **_SYNTHETIC_LINE, label="synthetic")
        axes.set(xscale="log", ylim=(0, 1.02))
        _logarithmic(axes.xaxis)
        _label(axes, x="items of a user, at least", y="share of users")
        _percent(axes)
        _legend(axes, loc="upper right")
    return canvas.svg


def plot_nearest(histograms: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Plot how similar users are to their nearest neighbour in another group.

    Args:
        histograms: any of ``synthetic_to_train``, ``synthetic_to_holdout`` and ``holdout_to_train``, each with
            ``edges`` (Jaccard similarities) and ``shares`` (of the compared users).
    """
    lines = {
        "holdout_to_train": _REAL_LINE | {"label": "never seen, to training"},
        "synthetic_to_train": _SYNTHETIC_LINE | {"label": "synthetic, to training"},
        "synthetic_to_holdout": _OTHER_LINE | {"label": "synthetic, to never seen"},
    }
    told = "; ".join(_in_words(lines[name]["label"], **histograms[name]) for name in lines if name in histograms)
    alt = f"Histogram of users' similarity to their nearest neighbour: {told}"
    with _canvas("nearest", alt=alt) as canvas:
        (axes,) = canvas.panels()
        for name in (name for name in lines if name in histograms):
            edges, shares = histograms[name]["edges"], histograms[name]["shares"]
            axes.stairs(shares, edges, **lines[name])
            axes.set_xlim(edges[0], edges[-1])
            if name == "synthetic_to_train":
                axes.stairs(shares, edges, color=_SYNTHETIC, fill=True, alpha=0.2)
        axes.set_ylim(bottom=0)
        _label(axes, x="Jaccard similarity to the nearest neighbour", y="share of users")
        _percent(axes)
        _legend(axes, loc="upper right")
    return canvas.svg


def _in_words(label: str, *, edges: Sequence[float], shares: Sequence[float]) -> str:
    """Describe peak and end of a histogram, e.g. ``synthetic: most often 0.12 to 0.16, shown up to 0.40``."""
    peak = max(range(len(shares)), key=shares.__getitem__)
    last = max(place for place, share in enumerate(shares) if share)
    return f"{label}: most often {edges[peak]:.2f} to {edges[peak + 1]:.2f}, shown up to {edges[last + 1]:.2f}"


def plot_training(reports: Sequence[Mapping[str, Any]], *, loss: str, validation: str | None, kept: int | None) -> str:
    """Plot the training loss of a stage by epoch and, in a second panel, its validation figure.

    Args:
        reports: the epoch reports of the stage, in order, at least one.
        loss: title for the loss.
        validation: title for the validation figure; None if it is the loss itself or must not be shown.
        kept: the epoch whose weights were kept, marked in the validation panel; None: no mark.
    """
    stage = str(reports[0]["stage"])
    alt = f"Training curve of stage {stage} by epoch"
    epochs = [report["epoch"] for report in reports]
    panels = [("loss", loss), *([("validation", validation)] if validation else [])]
    with _canvas(f"training-{stage}", alt=alt) as canvas:
        for axes, (key, meaning) in zip(canvas.panels(len(panels)), panels, strict=True):
            values = [report[key] for report in reports]
            axes.plot(epochs, values, **_SYNTHETIC_LINE, marker="o" if len(epochs) < 3 else None)
            axes.set_title(meaning, loc="left", fontsize=9, color=_INK)
            axes.locator_params(axis="y", nbins=4)
        if validation and kept is not None:
            axes.axvline(kept, **_OTHER_LINE, label=f"kept: epoch {kept}")
            _legend(axes, loc="best")
        axes.locator_params(axis="x", integer=True)
        _label(axes, x="epoch", y="")
    return canvas.svg


def _above_zero(values: Sequence[float]) -> list[float]:
    """Replace values that are not positive by NaN, because a logarithmic axis cannot show them."""
    return [value if value > 0 else math.nan for value in values]


def _label(axes: "Axes", *, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=9, color=_MUTED)
    axes.set_ylabel(y, fontsize=9, color=_MUTED)


def _legend(axes: "Axes", *, loc: Literal["lower left", "upper right", "best"]) -> None:
    axes.legend(loc=loc, frameon=False, fontsize=9, labelcolor=_INK)


def _percent(axes: "Axes") -> None:
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")


def _logarithmic(axis: "Axis") -> None:
    """Set the ticks of a logarithmic axis: powers of ten, and 2 and 5 times these if the axis is short."""
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if math.log10(high / low) < _FEW_DECADES else (1,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
