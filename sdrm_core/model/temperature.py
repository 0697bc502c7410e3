"""The temperature of the draw: as low as privacy allows.

The lower it is, the more useful the users are and the more they give away of those who trained the model.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import PrivacyConfig
from sdrm_core.records import Leak

OWN = 1.0
"""The model's own: tastes count as it has them."""

LADDER = tuple(round(1.1**step, 2) for step in range(-7, 4))
"""Temperatures tried: from half the model's own randomness to a third above it, each a tenth above the one before."""

LAST_RESORT = tuple(round(1.1**step, 2) for step in range(4, 8))
"""Higher ones, taken only if they keep the leak small for certain: there usefulness drops faster than the leak."""

UNJUDGED = LADDER[-1]
"""Taken where nothing can tell what leaks."""

_SECOND_TRY = 1.1**3  # three rungs: at it membership on MovieLens-1M shows half of what it showed
_LEAST_SECOND = 1.1**5  # of eight verdicts on MovieLens-1M all pass there, of those at 1.33 five

TOLERATED = 0.8
"""Share of the gates' margins that is used: the gates compare with other users, so chance needs room."""


def more_random(temperature: float) -> float:
    """Return the temperature to draw at after users drawn at ``temperature`` gave too much away.

    It is the last attempt, so it should pass: after a low temperature, too, it is one at which hardly any gate fails.
    """
    return round(max(_SECOND_TRY * temperature, _LEAST_SECOND), 2)


class LeakMeasure(Protocol):
    """Says what synthetic users give away of the people a model was trained on."""

    def __call__(
        self,
        sides: Sequence[tuple[csr_matrix, csr_matrix]],
        *,
        n_train: int,
        config: PrivacyConfig,
        seed: int,
        device: torch.device,
    ) -> Callable[[Sequence[csr_matrix]], Leak] | None:
        """Return what judges synthetic users (n_users, n_items) of each model of a side; None: nothing can.

        Args:
            sides: whom a model was trained on, and who looks on.
            n_train: users of the model that is meant, which a side's model of fewer users stands for.
            config: margins and limits.
            seed: of the run.
            device: where users are compared.
        """


def choose_temperature(leak_at: Callable[[float], Leak]) -> float:
    """Return the lowest temperature at which little leaks.

    On the ladder from 1 on it is enough that no leak beyond ``TOLERATED`` shows. Below 1, where users are more typical
    than the model makes them, leaks that do not show must be bounded by as much. Above the ladder, too: of few people a
    leak may be out of sight and still there, and then the usefulness is lost for nothing. If every temperature leaks
    more than that: the lowest one that the gates would still pass. If there is none: the highest on the ladder.

    Args:
        leak_at: the leak of users drawn at a temperature; taken to fall as it rises, so that halving finds it.
    """
    leaks: dict[float, Leak] = {}

    def keeps_within(limit: float, temperature: float) -> bool:
        leak = leaks[temperature]
        return leak.share <= limit and (leak.bound <= limit or OWN <= temperature <= LADDER[-1])

    def is_tolerated(temperature: float) -> bool:
        leaks[temperature] = leak_at(temperature)
        return keeps_within(TOLERATED, temperature)

    for ladder in (LADDER, LAST_RESORT):
        place = bisect_left(ladder, True, key=is_tolerated)
        if place < len(ladder):
            return ladder[place]
    return min((temperature for temperature in leaks if keeps_within(1, temperature)), default=LADDER[-1])
