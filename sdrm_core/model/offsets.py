"""Offsets to the item logits, fitted so that drawn users match the training users' item popularity and item pairs.

The decoder alone over-represents popular items. Of all corrections, the offsets of items restore most. The offsets of
pairs add the many small groups of co-occurring items that a few latent dimensions cannot represent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack
from torch import Tensor

from sdrm_core.config import Resolution, SamplingConfig
from sdrm_core.data.matrix import item_popularity
from sdrm_core.model.devices import Workers
from sdrm_core.model.draw import Offsets, stack_users
from sdrm_core.model.pairs import Pairs, outstanding_pairs
from sdrm_core.model.sdrm import SdrmModel
from sdrm_core.model.training import EpochReport, OnEpoch
from sdrm_core.randomness import stream_seed, torch_stream

_ITEM_GAIN = 0.6  # share of the missing log odds added per round: not all, as one draw gives only a noisy estimate
_MOST_MISSING = 2.0  # log odds, at most: an item that was not drawn at all may need only a small offset
_PAIR_GAIN = 0.7  # the same for pairs; halved after each swing (``_n_swings``)
_SWING = 1.2  # times the smallest distance so far counts as a swing; chance alone makes less
_SHRINKAGE_EXPONENT = 5  # of the temperature; a higher exponent shrinks pairs of few users more
_MAX_PAIR_OFFSET = 6.0  # log odds; the offsets of a user's several partner items add up
_RESOLUTION: Resolution = "full"  # the same offsets also fit users with fewer reverse steps
_EXPECTED_ROUNDS = 3
_FINDING_ROUNDS = 8
_REFINING_TIMES = 8  # as many users per round as training users: the fit then adds little to the noise of a release
_COUNTED_USERS = 1 << 15  # drawn at once in a round, at least: only their popularity is kept
_REFINING_CELLS = 2e9  # logits per round, at most: 40 seconds on two cores
_LEAP = 0.15  # of the interactions, more than in the first round, with wrong items: the step was too large
_MOST_HALVED = 8  # steps of one fit; then it ends

_Round = Callable[[np.ndarray, list[float], int], tuple[np.ndarray, float]]
"""Takes the offsets, the popularity distances of earlier rounds, and how many steps were halved; returns the change and
the new distance."""


@dataclass(frozen=True, eq=False)
class OffsetFit:
    """Fits the offsets of a model whose other parts, but for its temperature, stay fixed.

    Here the offsets form one vector: first those of the publishable items, then those of the pairs.

    Attributes:
        popularity: (n_publishable,) target popularity of each item, in training users.
        k_anonymity: number of training users that must have both items of a pair.
        config: numbers of rounds and of users per round.
        seed: the run's seed.
        on_epoch: called after each round.
    """

    popularity: np.ndarray
    k_anonymity: int
    config: SamplingConfig
    seed: int
    on_epoch: OnEpoch
    _blocks: list[tuple[Tensor, np.ndarray]] = field(default_factory=list, init=False)
    _fitted_items: dict[tuple[float, float | None], tuple[np.ndarray, tuple[EpochReport, ...]]] = field(
        default_factory=dict, init=False
    )

    def __call__(self, model: SdrmModel, pairs: Pairs) -> tuple[Offsets, tuple[EpochReport, ...]]:
        """Fit offsets so that item popularity reaches its target and ``pairs`` are as frequent as among training users.

        Above temperature 1 the target frequency of a pair is lowered, more so for pairs that few users share: there the
        draw flattens the decoder's item probabilities, and the contribution of few users must be flattened too.

        Args:
            model: complete except for its offsets.
            pairs: pairs of publishable items.

        Returns:
            The offsets, and one report per round.
        """
        with Workers(model.vae.device) as workers:
            users = self._fixed_users(model, workers)
            offsets, reports = self._fit_items(users)
            if not len(pairs.first):
                return users.offsets(offsets), reports
            offsets, more = self._fit_pairs(users, pairs, items=offsets)
            return users.offsets(offsets, pairs), (*reports, *more)

    def refine(self, model: SdrmModel, *, batch_users: int) -> tuple[SdrmModel, tuple[EpochReport, ...]]:
        """Fit the offsets of items once more, to new and far more users: a fit to few leaves rare items to chance.

        Round r moves the offsets by 1/r of what is missing, so that the noise of all rounds is averaged.

        Args:
            model: with its offsets fitted.
            batch_users: users denoised together on a GPU.

        Returns:
            The model with the new offsets, and one report per round.

        Source: Robbins and Monro 1951, "A Stochastic Approximation Method", Annals of Mathematical Statistics 22.
        """
        affordable = int(_REFINING_CELLS / len(model.publishable))
        n_users = max(self.config.margin_users, min(_REFINING_TIMES * len(model.activity), affordable))
        seed = stream_seed(self.seed, "offsets", "refining")

        def with_items(items: np.ndarray) -> SdrmModel:
            fitted = torch.from_numpy(items.astype(np.float32)).to(model.vae.device)
            return replace(model, offsets=replace(model.offsets, items=fitted))

        def step(items: np.ndarray, earlier: list[float], _: int) -> tuple[np.ndarray, float]:
            first, fitted, popularity = len(earlier) * n_users, with_items(items), np.zeros(model.vae.n_items)
            for start, stop in fitted.shards(n_users, about=max(_COUNTED_USERS, batch_users)):
                popularity += item_popularity(
                    fitted.sample(
                        first + start, first + stop, seed=seed, resolution=_RESOLUTION, batch_users=batch_users
                    )
                )
            missing, distance = self._missing_items(popularity[model.publishable], n_users=n_users)
            return missing / (len(earlier) + 1), distance

        start = model.offsets.items.double().cpu().numpy()
        rounds = self.config.refining_rounds if self.config.margin_rounds else 0
        fits, reports = self._iterate(step, start, stage="refining", rounds=rounds)
        return with_items(fits[-1]), reports

    def find_pairs(self, model: SdrmModel, train: csr_matrix) -> Pairs:
        """Return the pairs that the model makes too rarely after its item popularity is fitted.

        Args:
            model: complete except for its offsets, with the same temperature for all users. If it were higher for users
                with many items, the pairs that it suppresses would count as missing, and offsets would restore them.
            train: (n_train_users, n_publishable) the training users' publishable items.
        """
        if not self.config.pair_rounds:
            return Pairs.none()
        with Workers(model.vae.device) as workers:
            users = self._fixed_users(model, workers)
            offsets, _ = self._fit_items(users)
            drawn = vstack([users.draw(users.offsets(offsets), "finding", number) for number in range(_FINDING_ROUNDS)])
        return outstanding_pairs(train, drawn, k_anonymity=self.k_anonymity, seed=self.seed)

    def _fixed_users(self, model: SdrmModel, workers: Workers) -> "_FixedUsers":
        seed = stream_seed(self.seed, "offsets", _RESOLUTION)
        if not self._blocks:  # the same at every temperature
            self._blocks.extend(
                _features_and_counts(model, n_users=self.config.margin_users, seed=seed, workers=workers)
            )
        features, counts = zip(*self._blocks, strict=True)
        return _FixedUsers(model, workers, features, counts, seed)

    def _fit_pairs(
        self, users: "_FixedUsers", pairs: Pairs, *, items: np.ndarray
    ) -> tuple[np.ndarray, tuple[EpochReport, ...]]:
        plain = users.offsets(items)
        expected = np.mean(
            [pairs.log_odds_in(users.draw(plain, "expected", number)) for number in range(_EXPECTED_ROUNDS)], axis=0
        )
        prior_users = self.k_anonymity * (max(users.model.temperature, 1) ** _SHRINKAGE_EXPONENT - 1)
        wanted = expected + (pairs.log_odds - expected) * pairs.users / (pairs.users + prior_users)

        def step(offsets: np.ndarray, earlier: list[float], n_halved: int) -> tuple[np.ndarray, float]:
            drawn = users.draw(users.offsets(offsets, pairs), "pairs", len(earlier) + 1)
            missing, distance = self._missing_items(item_popularity(drawn), n_users=drawn.shape[0])
            of_items = _ITEM_GAIN * missing if self.config.margin_rounds else np.zeros_like(missing)
            before = offsets[len(of_items) :]
            gain = _PAIR_GAIN / 2 ** (n_halved + _n_swings([*earlier, distance]))
            of_pairs = gain * (wanted - pairs.log_odds_in(drawn))
            after = np.clip(before + of_pairs, 0, _MAX_PAIR_OFFSET)
            return np.concatenate([of_items, after - before]), distance

        start = np.concatenate([items, np.zeros(len(wanted))])
        fits, reports = self._iterate(step, start, stage="pairs", rounds=self.config.pair_rounds)
        return _later_mean(fits), reports

    def _fit_items(self, users: "_FixedUsers") -> tuple[np.ndarray, tuple[EpochReport, ...]]:
        """Fit the offsets of items; at the model's own temperature, the fit that finds the pairs is also the last."""
        drawn_at = users.model.temperature, users.model.usual_count
        if drawn_at not in self._fitted_items:
            self._fitted_items[drawn_at] = self._iterate_items(users)
        return self._fitted_items[drawn_at]

    def _iterate_items(self, users: "_FixedUsers") -> tuple[np.ndarray, tuple[EpochReport, ...]]:
        def step(offsets: np.ndarray, earlier: list[float], _: int) -> tuple[np.ndarray, float]:
            drawn = users.draw(users.offsets(offsets), "items", len(earlier) + 1)
            missing, distance = self._missing_items(item_popularity(drawn), n_users=drawn.shape[0])
            return _ITEM_GAIN * missing, distance

        start = np.zeros(len(self.popularity))
        fits, reports = self._iterate(step, start, stage="margins", rounds=self.config.margin_rounds)
        return _later_mean(fits), reports

    def _missing_items(self, popularity: np.ndarray, *, n_users: int) -> tuple[np.ndarray, float]:
        """Return what the items' log odds lack, (n_publishable,), and the distance of the items' popularity."""
        target = self.popularity / self.popularity.sum()
        # In log odds, like the offsets: on this scale 90 % and 100 % of the users are far apart.
        wanted, found = (
            np.log((users + 1) / (np.maximum(n_users - users, 0) + 1))
            for users in (target * popularity.sum(), popularity)
        )
        missing = np.clip(wanted - found, -_MOST_MISSING, _MOST_MISSING)
        return missing, float(np.abs(popularity / popularity.sum() - target).sum() / 2)

    def _iterate(
        self, step: _Round, start: np.ndarray, *, stage: str, rounds: int
    ) -> tuple[list[np.ndarray], tuple[EpochReport, ...]]:
        """Iterate; return the offsets at the start and after each round, and one report per try.

        A step that takes popularity much further from its target than it was at first is halved and tried again.
        """
        fits, distances, reports, n_halved = [start], list[float](), list[EpochReport](), 0
        while len(distances) < rounds and n_halved < _MOST_HALVED:
            change, distance = step(fits[-1], distances, n_halved)
            if distances and distance > distances[0] + _LEAP:
                fits[-1] = (fits[-2] + fits[-1]) / 2
                n_halved += 1
            else:
                fits.append(fits[-1] + change)
                distances.append(distance)
            reports.append(
                EpochReport(
                    stage=stage,
                    epoch=len(distances) + n_halved,
                    of_epochs=rounds + n_halved,
                    loss=distance,
                    validation=distance,
                    best=min(distances),
                )
            )
            self.on_epoch(reports[-1])
        return fits, tuple(reports)


def _later_mean(fits: list[np.ndarray]) -> np.ndarray:
    """Return the mean of the later half of the rounds, which averages out the noise of the draws."""
    n_rounds = len(fits) - 1
    mean: np.ndarray = np.mean(fits[-(n_rounds // 2) - 1 :], axis=0)
    return mean


def _n_swings(distances: list[float]) -> int:
    """Return in how many rounds the popularity distance exceeded the best earlier one by more than a fifth.

    The offsets of thousands of pairs of popular items add up: if the step is too large it overshoots, and item
    popularity oscillates with growing amplitude. The first round is ignored, because its pairs have no offsets yet.
    """
    since = np.array(distances[1:])
    return int((since > _SWING * np.minimum.accumulate(since)).sum())


@dataclass(frozen=True, eq=False)
class _FixedUsers:
    """Synthetic users whose latents and numbers of items are fixed over the rounds; only their items are redrawn.

    Attributes:
        model: complete except for its offsets.
        workers: share the blocks of users.
        features: for each block, (n_block_users, n_features) decoder features.
        counts: for each block, (n_block_users,) items per user.
        seed: of the draws.
    """

    model: SdrmModel
    workers: Workers
    features: Sequence[Tensor]
    counts: Sequence[np.ndarray]
    seed: int

    def offsets(self, values: np.ndarray, pairs: Pairs | None = None) -> Offsets:
        n_items = len(self.model.publishable)
        none = Offsets.none(n_items, device=self.model.vae.device)
        items = torch.from_numpy(values[:n_items].astype(np.float32)).to(none.items.device)
        return Offsets(items, none.pairs if pairs is None else pairs.matrix(values[n_items:], n_items=n_items))

    def draw(self, offsets: Offsets, phase: str, round_number: int) -> csr_matrix:
        """Return the (n_users, n_publishable) drawn items."""

        def draw_block(number: int) -> csr_matrix:
            generator = torch_stream(self.seed, phase, round_number, number, device=offsets.items.device)
            return self.model.draw(
                self.features[number], counts=self.counts[number], offsets=offsets, generator=generator
            )

        users = stack_users(self.workers.map(draw_block, range(len(self.features))), n_items=self.model.vae.n_items)
        return users[:, self.model.publishable]


def _features_and_counts(
    model: SdrmModel, *, n_users: int, seed: int, workers: Workers
) -> list[tuple[Tensor, np.ndarray]]:
    """Return, for each block of at least ``n_users`` new users, decoder features and numbers of items."""

    def of_block(number: int) -> tuple[Tensor, np.ndarray]:
        (block,) = model.source.blocks(range(number, number + 1), seed=seed, resolution=_RESOLUTION)
        return model.vae.decoder_features(block.latents), block.counts

    return workers.map(of_block, range(-(-n_users // model.source.users_per_block)))
