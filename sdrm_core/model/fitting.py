"""Fitting the whole model on a trained VAE: the diffusion on its latents, then the randomness that privacy requires."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import PipelineConfig
from sdrm_core.model.pretraining import train_vae
from sdrm_core.model.rehearsal import Rehearsal, rehearsals
from sdrm_core.model.sdrm import SdrmModel
from sdrm_core.model.temperature import OWN, LeakMeasure, choose_temperature, where_people_are_few
from sdrm_core.model.trained import TrainedModel, train_on_latents
from sdrm_core.model.training import EpochReport, OnEpoch
from sdrm_core.model.vae import MultiVAE
from sdrm_core.randomness import stream_seed
from sdrm_core.records import Leak

_MAX_LEAK_USERS = 20_000  # synthetic users drawn to measure the leak; more are more precise but slower

_LeakAt = Callable[[float, bool], Leak]
"""Takes a temperature, and whether it is proportional to a user's number of items; returns the leak."""


class Fitted(NamedTuple):
    """The result of a fit.

    Attributes:
        model: ready to sample.
        reports: one per epoch of the diffusion and one per round of offset fitting; without those of rehearsals.
        temperature_is_found: True if the temperature was chosen by the measured leak; False if it was given, or if
            there are too few users to measure the leak.
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
        on_epoch: called after each epoch of the diffusion and each round of offset fitting, also in rehearsals.

    Raises:
        TrainingError: a loss is not finite.
        DataError: no item may be published.
    """
    given = config.sampling
    temperature, by_activity = given.temperature, given.temperature_by_activity
    diffusion = train_on_latents(vae, train, validation, config=config, device=device, on_epoch=on_epoch)
    trained = diffusion.doubting(given.doubt)
    if by_activity is None and diffusion.is_sparse:
        by_activity = False  # in sparse data rare items identify people, not large numbers of items
    is_found = False
    if temperature is None or by_activity is None:
        leak_at = _leak_at(trained, train, validation, config=config, device=device, leak=leak, on_epoch=on_epoch)
        is_found = temperature is None and leak_at is not None
        temperature, by_activity = _how_random(temperature, by_activity, leak_at=leak_at)
    if temperature is None:
        few = where_people_are_few(may_doubt=may_doubt(config, is_sparse=diffusion.is_sparse))
        temperature = few.temperature
        if few.doubt and given.doubt is None:
            trained = diffusion.doubting(few.doubt)
    model, rounds = trained.drawing_at(temperature, by_activity=by_activity)
    return Fitted(model, (*diffusion.reports, *rounds), is_found, trained.doubt, diffusion.is_sparse)


def may_doubt(config: PipelineConfig, *, is_sparse: bool) -> bool:
    """Return whether a run may doubt what few people taught: always if told to, else in dense data.

    Sparse data have shrunk item vectors anyway. Doubt needs a linear decoder.
    """
    if config.sampling.doubt is None:
        return not (is_sparse or config.vae.decoder_units)
    return config.sampling.doubt > 0


def _leak_at(
    trained: TrainedModel,
    train: csr_matrix,
    validation: csr_matrix,
    *,
    config: PipelineConfig,
    device: torch.device,
    leak: LeakMeasure,
    on_epoch: OnEpoch,
) -> _LeakAt | None:
    """Return a function that measures the leak at a temperature; None if there are too few users to measure it.

    The users are drawn from the trained model, or from the models of the rehearsals.
    """
    rehearsed = rehearsals(train, validation, seed=config.seed) if config.sampling.temperature is None else []
    sides = rehearsed or [Rehearsal(train, validation)]
    leak_of = leak(sides, n_train=train.shape[0], config=config.privacy, seed=config.seed, device=device)
    if leak_of is None:
        return None
    judged = [trained]
    if rehearsed:
        judged = [
            _rehearse(learners, validation, config=config, device=device, on_epoch=on_epoch)
            for learners, _ in rehearsed
        ]

    @cache
    def leak_at(temperature: float, by_activity: bool) -> Leak:
        drawings = (each.drawing_at(temperature, by_activity=by_activity) for each in judged)
        return leak_of([_some_users(model, config=config) for model, _ in drawings])

    return leak_at


def _rehearse(
    learners: csr_matrix, validation: csr_matrix, *, config: PipelineConfig, device: torch.device, on_epoch: OnEpoch
) -> TrainedModel:
    """Train a model on the learners exactly like the real model; its epoch reports are marked as of a rehearsal."""

    def report(epoch: EpochReport) -> None:
        on_epoch(epoch.model_copy(update={"stage": f"rehearsal, {epoch.stage}"}))

    vae, _ = train_vae(learners, validation, config=config.vae, seed=config.seed, device=device, on_epoch=report)
    diffusion = train_on_latents(vae, learners, validation, config=config, device=device, on_epoch=report)
    return diffusion.doubting(config.sampling.doubt)


def _how_random(
    temperature: float | None, by_activity: bool | None, *, leak_at: _LeakAt | None
) -> tuple[float | None, bool]:
    """Return both settings: as given, or chosen by the measured leak if None.

    The temperature remains None if the leak cannot be measured or is too large at every temperature.
    """
    if leak_at is None:
        return temperature, bool(by_activity)
    if by_activity is None:
        by_activity = leak_at(OWN, False).rises_with_activity
    if temperature is None:
        temperature = choose_temperature(lambda candidate: leak_at(candidate, by_activity))
    return temperature, by_activity


def _some_users(model: SdrmModel, *, config: PipelineConfig) -> csr_matrix:
    """Draw synthetic users to measure the leak on."""
    return model.sample(
        0,
        min(config.sampling.users or len(model.activity), _MAX_LEAK_USERS),
        seed=stream_seed(config.seed, "temperature"),
        resolution=config.sampling.resolution,
        batch_users=config.compute.batch_users,
    )
