"""The search for the randomness of the item draw: as useful as possible, among what leaks little.

Both are judged with *onlookers*: users that the judged models were not trained on.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple, Protocol

import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import PipelineConfig, PrivacyConfig, UtilityConfig
from sdrm_core.model.sdrm import SdrmModel
from sdrm_core.model.temperature import LADDER, OWN, TOLERATED, Randomness, choose_temperature, is_within
from sdrm_core.model.trained import TrainedDiffusion
from sdrm_core.randomness import stream_seed
from sdrm_core.records import Leak

LOG = logging.getLogger("sdrm.model")  # child of the logger whose records the orchestrator shows

_MOST_USERS = 20_000  # synthetic users to judge; more are more precise but slower


class LeakMeasure(Protocol):
    """Measures how much synthetic users reveal about the users a model was trained on."""

    def __call__(
        self,
        sides: Sequence[tuple[csr_matrix, csr_matrix]],
        *,
        n_train: int,
        config: PrivacyConfig,
        seed: int,
        device: torch.device,
    ) -> Callable[[Sequence[csr_matrix]], Leak] | None:
        """Return a function that takes each side's synthetic users (n_users, n_items); None if too few users.

        Args:
            sides: for each model, the users it was trained on and its onlookers (users it was not trained on).
            n_train: number of training users of the model whose leak is wanted; a side's model may have fewer.
            config: margins and limits.
            seed: of the run.
            device: where users are compared.
        """


class UsefulnessMeasure(Protocol):
    """Measures how useful synthetic users are for recommending."""

    def __call__(
        self, onlookers: Sequence[csr_matrix], *, config: UtilityConfig, seed: int
    ) -> Callable[[Sequence[csr_matrix]], float]:
        """Return a function of each model's synthetic users (n_users, n_items); higher is better.

        Args:
            onlookers: for each model, (n_onlookers, n_items) users it was not trained on.
            config: limits.
            seed: of the run.
        """


class Found(NamedTuple):
    """How randomly items are to be drawn.

    Attributes:
        randomness: None if too much leaks at every temperature.
        by_activity: whether a user's temperature is proportional to the user's number of items.
    """

    randomness: Randomness | None
    by_activity: bool


@dataclass(frozen=True, eq=False)
class Search:
    """Draws users with different randomness from trained diffusions and has them judged.

    Attributes:
        diffusions: one for each group of onlookers.
        config: the run's configuration.
        leak_of: what the users drawn from each diffusion reveal.
        usefulness_of: how useful they are.
    """

    diffusions: Sequence[TrainedDiffusion]
    config: PipelineConfig
    leak_of: Callable[[Sequence[csr_matrix]], Leak]
    usefulness_of: Callable[[Sequence[csr_matrix]], float]
    _leaks: dict[tuple[Randomness, bool], Leak] = field(default_factory=dict, init=False)

    def most_useful(self, doubts: Sequence[float]) -> Found:
        """Return the most useful of what leaks little: for each doubt, the lowest temperature at which that is so.

        What leaves room for chance goes before what would only just pass. Only the first doubt is tried if it allows
        the lowest temperature of ``LADDER``, as then hardly anything has to be hidden, or none at all: another doubt
        may find one there, but then costs more usefulness than doubting a little at the model's own temperature.

        Args:
            doubts: at least one; if several are equally useful, the first is taken.
        """
        first = self._least_random(doubts[0])
        if first.randomness is None or first.randomness.temperature <= LADDER[0]:
            return first
        others = [self._least_random(doubt) for doubt in doubts[1:]]
        if not any(one.randomness for one in others):
            return first
        return max([first, *others], key=self._merits)

    def rises_with_activity(self, doubt: float) -> bool:
        """Return whether users with many items leak more, if all are drawn at the model's own temperature."""
        return self._leak(Randomness(OWN, doubt), by_activity=False).rises_with_activity

    def _least_random(self, doubt: float) -> Found:
        by_activity = self.config.sampling.temperature_by_activity
        if by_activity is None:
            by_activity = self.rises_with_activity(doubt)
        temperature = choose_temperature(
            lambda candidate: self._leak(Randomness(candidate, doubt), by_activity=by_activity), doubt=doubt
        )
        return Found(None if temperature is None else Randomness(temperature, doubt), by_activity)

    def _leak(self, randomness: Randomness, *, by_activity: bool) -> Leak:
        if (randomness, by_activity) not in self._leaks:
            LOG.info("looking for what leaks at temperature %g, doubt %g", *randomness)
            self._leaks[randomness, by_activity] = self.leak_of(self._drawn(randomness, by_activity=by_activity))
        return self._leaks[randomness, by_activity]

    def _merits(self, found: Found) -> tuple[bool, float]:
        """Return whether the leak leaves room for chance, and the usefulness."""
        if found.randomness is None:
            return False, -inf
        leak = self._leak(found.randomness, by_activity=found.by_activity)
        users = self._drawn(found.randomness, by_activity=found.by_activity)
        return is_within(TOLERATED, leak, found.randomness.temperature), self.usefulness_of(users)

    def _drawn(self, randomness: Randomness, *, by_activity: bool) -> list[csr_matrix]:
        """Return the users drawn from each diffusion."""
        temperature, doubt = randomness
        drawings = (each.doubting(doubt).drawing_at(temperature, by_activity=by_activity) for each in self.diffusions)
        return [self._some_users(model) for model, _ in drawings]

    def _some_users(self, model: SdrmModel) -> csr_matrix:
        return model.sample(
            0,
            min(self.config.sampling.users or len(model.activity), _MOST_USERS),
            seed=stream_seed(self.config.seed, "temperature"),
            resolution=self.config.sampling.resolution,
            batch_users=self.config.compute.batch_users,
        )
