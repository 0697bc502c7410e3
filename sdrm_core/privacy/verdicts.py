"""The answers of the privacy gates, and the report that combines them: plain records that JSON can hold."""

import logging
from collections.abc import Callable, Iterable
from enum import StrEnum
from math import floor, inf, isfinite, log10

import numpy as np
from pydantic import Field

from sdrm_core.config import PrivacyGate
from sdrm_core.privacy.statistics import Estimate
from sdrm_core.records import Record

LOG = logging.getLogger("sdrm.privacy")  # child of the logger whose records the orchestrator shows

SIGNIFICANT = 0.01  # a p-value below this proves a leak
MIN_HOLDOUT_USERS = 30  # with fewer held-out users no statistical gate passes
NO_GUARANTEE = "no formal guarantee: the model was trained without differential privacy"


class Verdict(StrEnum):
    """The three answers of a gate."""

    PASS = "PASS"  # noqa: S105 - an answer, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


_BY_STRICTNESS = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS)


def strictest_of(verdicts: Iterable[str]) -> Verdict:
    """Return the strictest of the verdicts; PASS if there are none."""
    found = set(verdicts)
    return next((verdict for verdict in _BY_STRICTNESS if verdict in found), Verdict.PASS)


class Figure(Record):
    """One measured leak and its verdict.

    Attributes:
        name: what was measured.
        effect: the estimate.
        lower: its one-sided 95 % lower bound.
        upper: its one-sided 95 % upper bound.
        p_value: of "no leak".
        significance: the leak is significant if the p-value is below this.
        n: number of users it was measured on.
        margin: the largest upper bound that passes.
        null: the effect without a leak.
        verdict: by the rule of ``judged``.
        is_tolerated: True: a significant leak within the margin passes. False: it fails whatever the margin.
    """

    name: str
    effect: float
    lower: float
    upper: float
    p_value: float
    significance: float
    n: int
    margin: float
    null: float
    verdict: Verdict
    is_tolerated: bool = True

    @classmethod
    def judged(  # the only place with the rule of the statistical gates
        cls,
        name: str,
        estimate: Estimate,
        *,
        n: int,
        margin: float,
        null: float = 0.0,
        significance: float = SIGNIFICANT,
        is_tolerated: bool = True,
        is_suspicious: bool = False,
    ) -> "Figure":
        """Return the figure with its verdict.

        - FAIL: a number is not finite; or the leak is significant, and it is not tolerated or the upper bound exceeds
          the margin.
        - PASS: otherwise, if the upper bound is within the margin and the figure is not suspicious.
        - INCONCLUSIVE: otherwise.
        """
        numbers = (estimate.effect, estimate.lower, estimate.upper, estimate.p_value)
        is_leak = estimate.p_value < significance
        is_within = estimate.upper <= margin
        if not all(isfinite(number) for number in numbers):
            estimate, verdict = Estimate(0.0, 0.0, 0.0, 0.0), Verdict.FAIL
        elif is_leak and not (is_tolerated and is_within):
            verdict = Verdict.FAIL
        else:
            verdict = Verdict.PASS if is_within and not is_suspicious else Verdict.INCONCLUSIVE
        return cls(
            name=name,
            effect=estimate.effect,
            lower=estimate.lower,
            upper=estimate.upper,
            p_value=estimate.p_value,
            significance=significance,
            n=n,
            margin=margin,
            null=null,
            verdict=verdict,
            is_tolerated=is_tolerated,
        )

    @property
    def share_of_tolerance(self) -> float:
        """Return the position of the upper bound between no leak (0) and the margin (1)."""
        room, reach = self.margin - self.null, self.upper - self.null
        return reach / room if room > 0 else inf if reach > 0 else 0.0

    def users_needed(self, n_users: int) -> int | None:
        """Return about how many users would decide where ``n_users`` do not; None if no number would.

        The interval's width shrinks with the square root of the limiting group's size: mostly the holdout, the smaller
        group. The answer is published, so it is rounded up to 1, 2 or 5 times a power of ten: an exact number would
        reveal the effect.
        """
        room, width = self.margin - max(self.effect, self.null), self.upper - self.effect
        return _rounded_up(n_users * max((width / room) ** 2, 1.0) + 1) if room > 0 else None


def _rounded_up(number: float) -> int:
    power = int(10 ** floor(log10(number)))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= number)


class GateVerdict(Record):
    """The answer of one gate.

    Attributes:
        figures: all judged figures; the first one decided.
        sentence: the answer for a reader without statistics. Contains no figure that helps an attacker.
        holdout_needed: for INCONCLUSIVE: number of held-out users needed to decide; None if more would not help.
        baseline: values by name that are not judged: those of real users, and other useful ones.
    """

    gate: PrivacyGate
    verdict: Verdict
    sentence: str
    figures: tuple[Figure, ...] = ()
    holdout_needed: int | None = None
    baseline: dict[str, float] = Field(default_factory=dict)


def about(n_people: int) -> str:
    """Return a number of real people with two significant digits; published, one person more must hardly show."""
    return f"about {float(f'{n_people:.2g}'):,.0f}"


def fail_closed(gate: PrivacyGate, judge: Callable[[], GateVerdict]) -> GateVerdict:
    """Return the result of ``judge``, or FAIL if its computation raises an error: what was not judged is not safe.

    Caught are numerical errors, memory errors, and torch's ``RuntimeError``, which includes a full GPU memory.
    """
    try:
        return judge()
    except (ArithmeticError, ValueError, IndexError, RuntimeError, np.linalg.LinAlgError, MemoryError) as error:
        LOG.exception("%s could not be computed", gate)
        sentence = f"This gate could not be computed ({type(error).__name__}), so it counts as failed."
        return GateVerdict(gate=gate, verdict=Verdict.FAIL, sentence=sentence)


class Histogram(Record):
    """Number of users by similarity to the nearest neighbour; ``counts`` has one entry less than ``edges``."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def coarse(self) -> "Histogram":
        """The histogram with half as many bins: the resolution a release may show."""
        pairs = (self.counts[start : start + 2] for start in range(0, len(self.counts), 2))
        return Histogram(edges=(*self.edges[:-1:2], self.edges[-1]), counts=tuple(map(sum, pairs)))

    def shares(self, *, min_users: int) -> tuple[float, ...]:
        """Return each bin's share of the users, 0 where it has fewer than ``min_users``."""
        total = sum(self.counts)
        return tuple(count / total if count >= min_users else 0.0 for count in self.counts)


class PrivacyReport(Record):
    """The whole judgement, for the operator only; a release contains ``public()``.

    Attributes:
        verdict: FAIL if a gate fails; else INCONCLUSIVE if a gate is inconclusive and not accepted; else PASS.
        accepted: inconclusive gates that the configuration accepts.
        compared: the compared subset if comparing all users would exceed the cost limit; empty if all were compared.
        histograms: nearest-neighbour similarities of synthetic to training users ("synthetic_to_train"; a random subset
            of training users of the holdout's size), synthetic to held-out users ("synthetic_to_holdout"), and held-out
            to training users ("holdout_to_train"), which shows what is normal.
    """

    verdict: Verdict
    gates: tuple[GateVerdict, ...]
    accepted: tuple[PrivacyGate, ...]
    n_synthetic: int
    n_train: int
    n_holdout: int
    compared: str
    formal_guarantee: str
    histograms: dict[str, Histogram]

    def public(self) -> dict[str, object]:
        """Return what may be published: verdicts and sentences, none of the figures that help an attacker."""
        return {
            "verdict": self.verdict.value,
            "gates": {gate.gate: {"verdict": gate.verdict.value, "sentence": gate.sentence} for gate in self.gates},
            "accepted_inconclusive": list(self.accepted),
            "compared": self.compared,
            "formal_guarantee": self.formal_guarantee,
        }


def overall(gates: tuple[GateVerdict, ...], accepted: tuple[PrivacyGate, ...]) -> Verdict:
    """Return the strictest verdict of the gates, without accepted inconclusive ones."""
    return strictest_of(
        gate.verdict for gate in gates if gate.verdict != Verdict.INCONCLUSIVE or gate.gate not in accepted
    )


def strictest(figures: tuple[Figure, ...]) -> Figure:
    """Return the deciding figure: the first that fails, else the first inconclusive one, else the first."""
    return next(figure for verdict in _BY_STRICTNESS for figure in figures if figure.verdict == verdict)
