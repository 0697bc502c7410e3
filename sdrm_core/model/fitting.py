"""Fitting the whole model on a trained VAE: the diffusion on its latents, then the randomness that privacy requires."""

from typing import NamedTuple

import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import PipelineConfig, SamplingConfig
from sdrm_core.model.pretraining import train_vae
from sdrm_core.model.rehearsal import Rehearsal, rehearsals
from sdrm_core.model.sdrm import SdrmModel
from sdrm_core.model.search import Found, LeakMeasure, Search, UsefulnessMeasure
from sdrm_core.model.temperature import DOUBTS, Randomness, where_people_are_few
from sdrm_core.model.trained import TrainedDiffusion, train_on_latents
from sdrm_core.model.training import EpochReport, OnEpoch
from sdrm_core.model.vae import MultiVAE


class Fitted(NamedTuple):
    """The result of a fit.

    Attributes:
        model: ready to sample.
        reports: one per epoch of the diffusion and one per round of offset fitting; without those of rehearsals.
        temperature_is_found: True if the temperature was chosen by the measured leak; False if it was given, or if
            people are too few to hide at any temperature or to measure the leak.
        doubt: as the model was fitted with, given or chosen.
        is_sparse: whether rare items have much of the interactions (``TrainedDiffusion.is_sparse``).
    """

    model: SdrmModel
    reports: tuple[EpochReport, ...]
    temperature_is_found: bool
    doubt: float
    is_sparse: bool


def fit_sdrm(
    vae: MultiVAE,
    train: csr_matrix,
    validation: csr_matrix,
    *,
    config: PipelineConfig,
    device: torch.device,
    leak: LeakMeasure,
    usefulness: UsefulnessMeasure,
    on_epoch: OnEpoch,
) -> Fitted:
    """Train the diffusion on the VAE's latents and fit the draw to the training users.

    Args:
        vae: trained, frozen.
        train: (n_train_users, n_items) binary, no user without items; the only source of target statistics.
        validation: (n_validation_users, n_items) binary; used for early stopping and to measure the leak.
        config: the run's configuration.
        device: where to fit.
        leak: measures the leak. It decides the temperature, whether the temperature is higher for users with many
            items, and the doubt, as far as the configuration leaves these open. If the temperature is open and there
            are few validation users, the leak is measured in rehearsals (``rehearsal``).
        usefulness: measures how useful users are, where what leaks leaves several doubts to choose from.
        on_epoch: called after each epoch of the diffusion and each round of offset fitting, also in rehearsals.

    Raises:
        TrainingError: a loss is not finite.
        DataError: no item may be published.
    """
    diffusion = train_on_latents(vae, train, validation, config=config, device=device, on_epoch=on_epoch)
    given = config.sampling
    if given.temperature_by_activity is None and diffusion.is_sparse:
        # In sparse data rare items identify people, not large numbers of items.
        given = given.model_copy(update={"temperature_by_activity": False})
        config = config.model_copy(update={"sampling": given})
    allowed = may_doubt(config, is_sparse=diffusion.is_sparse)
    search = None
    if None in (given.temperature, given.temperature_by_activity):
        search = _search(
            diffusion, train, validation, config=config, leak=leak, usefulness=usefulness, on_epoch=on_epoch
        )
    found = _how_random(given, search=search, may_choose_doubt=allowed and given.doubt is None)
    randomness = found.randomness or where_people_are_few(may_doubt=allowed)
    trained = diffusion.doubting(randomness.doubt if given.doubt is None else given.doubt)
    model, rounds = trained.drawing_at(randomness.temperature, by_activity=found.by_activity)
    model, last_rounds = trained.fit_offsets.refine(model, batch_users=config.compute.batch_users)
    is_found = given.temperature is None and found.randomness is not None
    return Fitted(model, (*diffusion.reports, *rounds, *last_rounds), is_found, trained.doubt, diffusion.is_sparse)


def may_doubt(config: PipelineConfig, *, is_sparse: bool) -> bool:
    """Return whether a run may doubt what few people taught: always if told to, else in dense data.

    Sparse data have shrunk item vectors anyway. Doubt needs a linear decoder.
    """
    if config.sampling.doubt is None:
        return not (is_sparse or config.vae.decoder_units)
    return config.sampling.doubt > 0


def _search(
    diffusion: TrainedDiffusion,
    train: csr_matrix,
    validation: csr_matrix,
    *,
    config: PipelineConfig,
    leak: LeakMeasure,
    usefulness: UsefulnessMeasure,
    on_epoch: OnEpoch,
) -> Search | None:
    """Return the search on the trained diffusion, or on those of the rehearsals; None if users are too few to judge."""
    rehearsed = rehearsals(train, validation, seed=config.seed) if config.sampling.temperature is None else []
    sides = rehearsed or [Rehearsal(train, validation)]
    device = diffusion.vae.device
    leak_of = leak(sides, n_train=train.shape[0], config=config.privacy, seed=config.seed, device=device)
    if leak_of is None:
        return None
    diffusions = [diffusion]
    if rehearsed:
        diffusions = [
            _rehearse(learners, validation, config=config, device=device, on_epoch=on_epoch)
            for learners, _ in rehearsed
        ]
    usefulness_of = usefulness([side.onlookers for side in sides], config=config.utility, seed=config.seed)
    return Search(diffusions, config, leak_of=leak_of, usefulness_of=usefulness_of)


def _rehearse(
    learners: csr_matrix, validation: csr_matrix, *, config: PipelineConfig, device: torch.device, on_epoch: OnEpoch
) -> TrainedDiffusion:
    """Train a model on the learners exactly like the real model; its epoch reports are marked as of a rehearsal."""

    def report(epoch: EpochReport) -> None:
        on_epoch(epoch.model_copy(update={"stage": f"rehearsal, {epoch.stage}"}))

    vae, _ = train_vae(learners, validation, config=config.vae, seed=config.seed, device=device, on_epoch=report)
    return train_on_latents(vae, learners, validation, config=config, device=device, on_epoch=report)


def _how_random(given: SamplingConfig, *, search: Search | None, may_choose_doubt: bool) -> Found:
    """Return how randomly to draw: as given, or found where it is open and can be searched for."""
    doubt, by_activity = given.doubt or 0.0, given.temperature_by_activity
    if given.temperature is None:
        doubts = DOUBTS if may_choose_doubt else (doubt,)
        return search.most_useful(doubts) if search else Found(None, bool(by_activity))
    if by_activity is None:
        by_activity = search is not None and search.rises_with_activity(doubt)
    return Found(Randomness(given.temperature, doubt), by_activity)
