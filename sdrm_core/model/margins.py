"""Item margins: one offset an item, fitted until drawn popularity is that of the training users.

The decoder alone favours the head of the catalogue; of all corrections this is the one that restores most.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sdrm_core.config import Resolution, SamplingConfig
from sdrm_core.model.devices import Workers
from sdrm_core.model.draw import item_popularity
from sdrm_core.model.sdrm import SdrmModel
from sdrm_core.model.training import EpochReport, OnEpoch
from sdrm_core.randomness import stream_seed, torch_stream

_GAIN = 0.6
_LEAST_TEMPERATURE = 0.5


@dataclass(frozen=True, eq=False)
class _Panel:
    """Synthetic users that stay the same over the rounds, up to the decoder's features; their items are redrawn."""

    model: SdrmModel
    workers: Workers
    features: list[Tensor]
    counts: list[np.ndarray]
    seed: int

    @classmethod
    def of(cls, model: SdrmModel, *, n_users: int, resolution: Resolution, seed: int, workers: Workers) -> "_Panel":
        numbers = range(-(-n_users // model.source.users_per_block))

        def features_and_counts(number: int) -> tuple[Tensor, np.ndarray]:
            (block,) = model.source.blocks(range(number, number + 1), seed=seed, resolution=resolution)
            return model.vae.decoder_features(block.latents), block.counts

        blocks = workers.map(features_and_counts, numbers)
        return cls(model, workers, [features for features, _ in blocks], [counts for _, counts in blocks], seed)

    def drawn_popularity(self, margins: Tensor, *, round_number: int) -> np.ndarray:
        """Return (n_publishable,) users each item was drawn for."""
        model = self.model

        def drawn_in_block(number: int) -> np.ndarray:
            generator = torch_stream(self.seed, "items", round_number, number, device=margins.device)
            users = model.draw(self.features[number], counts=self.counts[number], margins=margins, generator=generator)
            popularity: np.ndarray = item_popularity(users)[model.publishable]
            return popularity

        total: np.ndarray = np.sum(self.workers.map(drawn_in_block, range(len(self.features))), axis=0)
        return total


def fit_margins(
    model: SdrmModel,
    *,
    popularity: np.ndarray,
    resolution: Resolution,
    config: SamplingConfig,
    seed: int,
    workers: Workers,
    on_epoch: OnEpoch,
) -> tuple[Tensor, tuple[EpochReport, ...]]:
    """Fit the offsets that make drawn items as popular as ``popularity``.

    The offsets of the later half of the rounds are averaged: each alone carries the noise of its round.

    Args:
        model: all but the margins fitted.
        popularity: (n_publishable,) training users an item has.
        resolution: margins differ with it, because the latents do.
        config: rounds and users per round.
        seed: the run's seed.
        workers: share the blocks of users.
        on_epoch: called after each round.

    Returns:
        (n_publishable,) offsets, and one report a round.
    """
    stage, rounds = f"margins-{resolution}", config.margin_rounds
    device = model.vae.device
    target = popularity / popularity.sum()
    gain = _GAIN * max(model.temperature, _LEAST_TEMPERATURE)
    margins = torch.zeros(len(target), device=device)
    settled = [margins]
    reports: list[EpochReport] = []
    panel = _Panel.of(
        model, n_users=config.margin_users, resolution=resolution, seed=stream_seed(seed, stage), workers=workers
    )
    for round_number in range(1, rounds + 1):
        drawn = panel.drawn_popularity(margins, round_number=round_number)
        step = gain * np.log((target * drawn.sum() + 1) / (drawn + 1))
        margins = margins + torch.from_numpy(step.astype(np.float32)).to(device)
        settled = [*settled, margins] if round_number > rounds // 2 + 1 else [margins]
        distance = float(np.abs(drawn / drawn.sum() - target).sum() / 2)
        reports.append(_report(stage, round_number, rounds, distance, before=reports))
        on_epoch(reports[-1])
    return torch.stack(settled).mean(dim=0), tuple(reports)


def _report(stage: str, round_number: int, rounds: int, distance: float, *, before: list[EpochReport]) -> EpochReport:
    best = min([distance, *(report.best for report in before)])
    return EpochReport(stage=stage, epoch=round_number, of_epochs=rounds, loss=distance, validation=distance, best=best)
