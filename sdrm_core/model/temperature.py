"""The temperature of the draw: as low as privacy allows.

The lower it is, the more useful the users are and the more they give away of those who trained the model.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Protocol

from scipy.sparse import csr_matrix

from sdrm_core.config import PrivacyConfig

LADDER = tuple(round(1.1**step, 2) for step in range(-7, 8))
"""Temperatures tried: from half the model's own randomness to twice that, each a tenth above the one before."""

TOLERATED = 0.9
"""Of what the privacy gates tolerate: the people they compare with are others, and chance needs room."""


class LeakMeasure(Protocol):
    """How much of what the privacy gates tolerate synthetic users give away, 1 being all of it."""

    def __call__(
        self,
        synthetic: csr_matrix,
        *,
        train: csr_matrix,
        validation: csr_matrix,
        config: PrivacyConfig,
        seed: int,
    ) -> float:
        """Judge synthetic users (n_users, n_items) drawn from a model of ``train``."""


def choose_temperature(leak_at: Callable[[float], float]) -> float:
    """Return the lowest temperature of the ladder at which little leaks; the highest where it does at none.

    Args:
        leak_at: the leak of users drawn at a temperature; taken to fall as it rises, so that halving finds it.
    """
    place = bisect_left(LADDER, True, key=lambda temperature: leak_at(temperature) <= TOLERATED)
    return LADDER[min(place, len(LADDER) - 1)]
