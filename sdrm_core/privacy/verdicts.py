"""What a privacy gate answers, and the report they make together. Plain records, readable as JSON."""

import logging
from collections.abc import Callable, Iterable
from enum import StrEnum
from math import floor, inf, isfinite, log10

import numpy as np
from pydantic import Field

from sdrm_core.config import PrivacyGate
from sdrm_core.privacy.statistics import Estimate
from sdrm_core.records import Record

LOG = logging.getLogger("sdrm.privacy")  # below the logger that the orchestrator shows

SIGNIFICANT = 0.01
MIN_HOLDOUT_USERS = 30
NO_GUARANTEE = "no formal guarantee: the model was trained without differential privacy"


class Verdict(StrEnum):
    """The three answers of a gate."""

    PASS = "PASS"  # noqa: S105 - an answer, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


_BY_STRICTNESS = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS)


def strictest_of(verdicts: Iterable[str]) -> Verdict:
    """Return the strictest of the verdicts, PASS if there are none."""
    found = set(verdicts)
    return next((verdict for verdict in _BY_STRICTNESS if verdict in found), Verdict.PASS)


class Figure(Record):
    """One measured leak and its verdict.

    Attributes:
        name: of what was measured.
        effect: the estimate.
        lower: its one-sided 95 % lower bound.
        upper: its one-sided 95 % upper bound.
        p_value: of "no leak".
        significance: the leak is significant if the p-value is below this.
        n: users it was measured on.
        margin: the largest upper bound that passes.
        null: the effect where there is no leak.
        verdict: by the rule of ``judged``.
        is_tolerated: whether a significant leak within the margin passes; if not it fails whatever the margin.
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
    def judged(  # the rule of every statistical gate, here alone
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

        PASS if the upper bound is within the margin, else FAIL if the leak is significant, else INCONCLUSIVE. Where
        nothing is tolerated a significant leak fails first, and where there is reason for suspicion nothing passes. A
        figure that is not finite fails.
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
        """Return how far the upper bound reaches from no leak (0) to the margin (1)."""
        room, reach = self.margin - self.null, self.upper - self.null
        return reach / room if room > 0 else inf if reach > 0 else 0.0

    def users_needed(self, n_users: int) -> int | None:
        """Return about how many users would tell where ``n_users`` do not; None where no number of them would do.

        The width of the interval shrinks with the square root of the group it hangs on: mostly the smaller one, which
        is the holdout. The answer is published, so it is rounded up to one of 1, 2 and 5 times a power of ten: from an
        exact one the effect could be worked out.
        """
        room, width = self.margin - max(self.effect, self.null), self.upper - self.effect
        return _rounded_up(n_users * max((width / room) ** 2, 1.0) + 1) if room > 0 else None


def _rounded_up(number: float) -> int:
    power = int(10 ** floor(log10(number)))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= number)


class GateVerdict(Record):
    """The answer of one gate.

    Attributes:
        figures: all that was measured; the first one decided.
        sentence: the answer for a reader without statistics. Holds no figure an attacker could use.
        holdout_needed: for INCONCLUSIVE: the held-out users it would take; None if more of them would not help.
        baseline: figures that are not judged, by name: what real people do, and what else is worth knowing.
    """

    gate: PrivacyGate
    verdict: Verdict
    sentence: str
    figures: tuple[Figure, ...] = ()
    holdout_needed: int | None = None
    baseline: dict[str, float] = Field(default_factory=dict)


def fail_closed(gate: PrivacyGate, judge: Callable[[], GateVerdict]) -> GateVerdict:
    """Return what ``judge`` finds; an error of its computation is a FAIL: what could not be judged is not safe.

    Errors of the computation are those of numbers, of memory, and torch's ``RuntimeError``, a GPU's memory among them.
    """
    try:
        return judge()
    except (ArithmeticError, ValueError, IndexError, RuntimeError, np.linalg.LinAlgError, MemoryError) as error:
        LOG.exception("%s could not be computed", gate)
        sentence = f"This gate could not be computed ({type(error).__name__}), so it counts as failed."
        return GateVerdict(gate=gate, verdict=Verdict.FAIL, sentence=sentence)


class Histogram(Record):
    """Users by similarity to their nearest neighbour; ``counts`` has one entry less than ``edges``."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def coarse(self) -> "Histogram":
        """The same with half as many bins: what a release may show."""
        pairs = (self.counts[start : start + 2] for start in range(0, len(self.counts), 2))
        return Histogram(edges=(*self.edges[:-1:2], self.edges[-1]), counts=tuple(map(sum, pairs)))

    def shares(self, *, min_users: int) -> tuple[float, ...]:
        """Return each bin's share of the users, 0 where it has fewer than ``min_users``."""
        total = sum(self.counts)
        return tuple(count / total if count >= min_users else 0.0 for count in self.counts)


class PrivacyReport(Record):
    """The whole judgement: for the operator alone; a release carries ``public()``.

    Attributes:
        verdict: FAIL if one gate fails, else INCONCLUSIVE if one that is not accepted is, else PASS.
        accepted: gates that were inconclusive and that the configuration accepts as such.
        compared: what was compared when the exact cost was above the limit; empty if everything was.
        histograms: nearest-neighbour similarities of synthetic to training users ("synthetic_to_train"; a random
            subset of training users of the holdout's size), synthetic to held-out users ("synthetic_to_holdout") and
            held-out to training users ("holdout_to_train"): the picture of what is normal.
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
        """Return what may leave the house: verdicts and sentences, none of the figures an attacker could use."""
        return {
            "verdict": self.verdict.value,
            "gates": {gate.gate: {"verdict": gate.verdict.value, "sentence": gate.sentence} for gate in self.gates},
            "accepted_inconclusive": list(self.accepted),
            "compared": self.compared,
            "formal_guarantee": self.formal_guarantee,
        }


def overall(gates: tuple[GateVerdict, ...], accepted: tuple[PrivacyGate, ...]) -> Verdict:
    """Return the strictest of the gates' verdicts, accepted inconclusive ones aside."""
    return strictest_of(
        gate.verdict for gate in gates if gate.verdict != Verdict.INCONCLUSIVE or gate.gate not in accepted
    )


def strictest(figures: tuple[Figure, ...]) -> Figure:
    """Return the figure that decides: the first that fails, else the first inconclusive one, else the first."""
    return next(figure for verdict in _BY_STRICTNESS for figure in figures if figure.verdict == verdict)
