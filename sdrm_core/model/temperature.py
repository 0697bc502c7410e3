"""The randomness of the item draw: as little as privacy allows.

At a lower temperature the synthetic users are more useful, but reveal more about the training users.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

from sdrm_core.records import Leak

OWN = 1.0
"""The model's own temperature: the logits are used unchanged."""

LADDER = tuple(round(1.1**step, 2) for step in range(-7, 4))
"""Temperatures tried: from half of the model's own to a third above it, in steps of 10 %."""

LOW = tuple(round(1.1**step, 2) for step in range(-13, -7))
"""Lower temperatures, for a model that doubts what few people taught: it leaks less at each temperature."""

LAST_RESORT = tuple(round(1.1**step, 2) for step in range(4, 8))
"""Higher temperatures, used only if the leak's upper bound is small: here usefulness drops faster than the leak."""

_SECOND_TRY = 1.1**3  # three steps of 10 %; halved the membership leak on MovieLens-1M
_LEAST_SECOND = 1.1**5  # eight of eight verdicts on MovieLens-1M passed there, five at 1.33
_LEAST_SECOND_DOUBTING = 1.1**2  # with doubt, eight of eight passed here, and more of the usefulness was kept
_DOUBT = 2.0  # where doubt may be raised

DOUBTS = (0.0, 4.0)
"""Doubts among which the more useful one is chosen, each at the lowest temperature at which little leaks."""

TOLERATED = 0.8
"""Share of the gates' margins that may be used; the rest is for chance, as the gates compare with other users."""


class Randomness(NamedTuple):
    """How randomly items are drawn, as in ``SamplingConfig``."""

    temperature: float
    doubt: float


def more_random(first: Randomness, *, may_doubt: bool) -> Randomness:
    """Return the randomness of the second attempt, after privacy gates refused users drawn with that of the first.

    The second attempt is the last one, so it should pass: even after a low temperature it uses one at which hardly any
    gate failed.

    may_doubt: whether doubt may be raised.
    """
    least, doubt = (_LEAST_SECOND_DOUBTING, _DOUBT) if may_doubt else (_LEAST_SECOND, 0.0)
    return Randomness(round(max(_SECOND_TRY * first.temperature, least), 2), max(doubt, first.doubt))


def where_people_are_few(*, may_doubt: bool) -> Randomness:
    """Return the randomness for people who are too few to hide at any temperature, or to measure what leaks.

    With doubt, users drawn at the model's own temperature are at least as useful as without it at a third above, and
    most leaks are smaller.

    may_doubt: as for ``more_random``.
    """
    return Randomness(OWN, _DOUBT) if may_doubt else Randomness(LADDER[-1], 0.0)


def choose_temperature(leak_at: Callable[[float], Leak], *, doubt: float) -> float | None:
    """Return the lowest temperature with a small leak, or None.

    - With doubt, temperatures in ``LOW`` are tried too.
    - From 1 to the top of ``LADDER`` the measured leak must be at most ``TOLERATED``.
    - Below 1 the leak's upper bound must be so too, because there users are more typical than the model's own.
    - On ``LAST_RESORT`` the upper bound must be so too: with few users a leak may exist without being measurable, and
      then usefulness would be lost for nothing.

    If no temperature meets this: the lowest of the tried ones at which the gates would still pass (limit 1 in place of
    ``TOLERATED``); if there is none, None.

    Args:
        leak_at: the leak of users drawn at a temperature; assumed to fall as the temperature rises, for the bisection.
        doubt: with which the model was fitted.
    """
    leaks: dict[float, Leak] = {}

    def is_tolerated(temperature: float) -> bool:
        leaks[temperature] = leak_at(temperature)
        return is_within(TOLERATED, leaks[temperature], temperature)

    for ladder in (LOW + LADDER if doubt else LADDER, LAST_RESORT):
        place = bisect_left(ladder, True, key=is_tolerated)
        if place < len(ladder):
            return ladder[place]
    return min((temperature for temperature, leak in leaks.items() if is_within(1, leak, temperature)), default=None)


def is_within(limit: float, leak: Leak, temperature: float) -> bool:
    """Return whether the leak at a temperature is within the limit, as for ``choose_temperature``."""
    return leak.share <= limit and (leak.bound <= limit or OWN <= temperature <= LADDER[-1])
