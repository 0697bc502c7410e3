"""The temperature of the draw: as low as privacy allows.

The lower it is, the more useful the users are and the more they give away of those who trained the model.
"""

from bisect import bisect_left
from collections.abc import Callable
from math import inf
from typing import Protocol

import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import PrivacyConfig
from sdrm_core.records import Leak

LADDER = tuple(round(1.1**step, 2) for step in range(-7, 4))
"""Temperatures tried: from half the model's own randomness to a third above it, each a tenth above the one before."""

LAST_RESORT = tuple(round(1.1**step, 2) for step in range(4, 8))
"""Higher ones, taken only where they let little leak: users lose there what makes them useful faster than what they
give away."""

UNJUDGED = LADDER[-1]
"""Taken where nothing can tell what leaks."""

_SECOND_TRY = 1.1**3  # three rungs: at it membership on MovieLens-1M shows half of what it showed

TOLERATED = 0.8
"""Of what the privacy gates tolerate: the people they compare with are others, and chance needs room."""

_HARDLY_MORE = 1.15


def more_random(temperature: float) -> float:
    """Return the temperature to draw at after users drawn at ``temperature`` gave too much away.

    Less than the model's own randomness took certainty, which was wrong: it is raised from 1.
    """
    return round(_SECOND_TRY * max(temperature, 1.0), 2)


class LeakMeasure(Protocol):
    """Says what synthetic users give away of the people a model was trained on."""

    def __call__(
        self, train: csr_matrix, validation: csr_matrix, *, config: PrivacyConfig, seed: int, device: torch.device
    ) -> Callable[[csr_matrix], Leak] | None:
        """Return what judges synthetic users (n_users, n_items) drawn from a model of ``train``; None: nothing can."""


def choose_temperature(leak_at: Callable[[float], Leak]) -> float:
    """Return the lowest temperature at which little leaks.

    Below 1, where users are more typical than the model has them, it takes certainty; from there on no sign of a leak.
    Where too much leaks at all that were tried, it is the lowest that the gates would let pass; if there is none, the
    lowest of the ladder's that leak hardly more than the least leaking: randomness that hides nobody only costs.

    Args:
        leak_at: the leak of users drawn at a temperature; taken to fall as it rises, so that halving finds it.
    """
    leaks: dict[float, Leak] = {}

    def keeps_within(limit: float, temperature: float) -> bool:
        leak = leaks[temperature]
        return leak.share <= limit and (leak.is_certain or temperature >= 1)

    def is_tolerated(temperature: float) -> bool:
        leaks[temperature] = leak_at(temperature)
        return keeps_within(TOLERATED, temperature)

    for ladder in (LADDER, LAST_RESORT):
        place = bisect_left(ladder, True, key=is_tolerated)
        if place < len(ladder):
            return ladder[place]
    on_ladder = {temperature: leak.share for temperature, leak in leaks.items() if temperature in LADDER}
    enough = _HARDLY_MORE * min(on_ladder.values())
    passing = [temperature for temperature in leaks if keeps_within(1, temperature)]
    hardly_more = [temperature for temperature, share in on_ladder.items() if share <= enough < inf]
    return min(passing or hardly_more, default=UNJUDGED)
