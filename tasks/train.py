"""Train the MultiVAE, then the diffusion model on its latent vectors, and fit the draw of items."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from sdrm_core.config import PipelineConfig, SamplingConfig
from sdrm_core.data.roles import Role
from sdrm_core.model.devices import resolve_device
from sdrm_core.model.fitting import fit_sdrm, may_doubt
from sdrm_core.model.pretraining import train_vae
from sdrm_core.model.temperature import Randomness, more_random
from sdrm_core.model.training import EpochReport
from sdrm_core.model.weights import load_vae, save_vae
from sdrm_core.privacy.leak import leak_against
from sdrm_core.quality.usefulness import usefulness_for
from sdrm_core.records import Artifact
from sdrm_core.storage import checked, private_directory, write_json
from tasks.matrix import users_of_roles
from tasks.records import FittedModel, Run, TrainedVae, UserItemMatrix
from tasks.resumable import finished_once
from tasks.stage import LOG, Meter, stage
from tasks.wording import doubting
from tasks.working_directory import model_directories

_LOG_EVERY_EPOCHS = 10


@stage("pretrain")
@finished_once
def pretrain(run: Run, matrix: UserItemMatrix) -> TrainedVae:
    """Train the MultiVAE on the training users; the validation users decide when to stop."""
    config = run.config
    with Meter("pretrain") as meter:
        train, validation = users_of_roles(matrix, Role.TRAIN, Role.VALIDATION)
        device = resolve_device(config.compute.device)
        vae, curve = train_vae(
            train, validation, config=config.vae, seed=config.seed, device=device, on_epoch=report_epoch
        )
        kept = next(report.epoch for report in curve if report.validation == curve[-1].best)
        LOG.info("vae: %d of at most %d epochs, kept is epoch %d", len(curve), curve[-1].of_epochs, kept)
        folder = private_directory(run.directory / "pretrain")
        trained = TrainedVae(
            weights=save_vae(vae, folder / "vae.safetensors", item_digest=matrix.items.sha256),
            curve=_write_curve(folder / "curve.json", curve),
            epochs=len(curve),
        )
    meter.save(run)
    return trained


@stage("diffuse")
@finished_once
def diffuse(run: Run, matrix: UserItemMatrix, vae: TrainedVae, *, refused: FittedModel | None = None) -> FittedModel:
    """Train the diffusion model on the latent vectors, fit the draw of items, and write the model folder.

    Args:
        run: the run.
        matrix: users of the run.
        vae: the VAE trained on these users.
        refused: the first model of the run, if a privacy gate refused it; the new model draws items more randomly.
    """
    config = run.config
    if refused:
        config = config.model_copy(update={"sampling": _more_random(config, refused)})
    with Meter("diffuse", attempt=int(refused is not None)) as meter:
        device = resolve_device(config.compute.device)
        model, curve, is_found, doubt, is_sparse = fit_sdrm(
            load_vae(checked(vae.weights), item_digest=matrix.items.sha256, device=device),
            *users_of_roles(matrix, Role.TRAIN, Role.VALIDATION),
            config=config,
            device=device,
            leak=leak_against,
            usefulness=usefulness_for,
            on_epoch=report_epoch,
        )
        if config.sampling.temperature is None and not is_found:
            LOG.warning("people are too few to hide at any temperature tried, or to tell what leaks")
        item_pairs = model.offsets.n_pairs
        of_whom = "for all users" if model.usual_count is None else "in proportion to a user's number of items"
        told = (model.temperature, of_whom, doubting(doubt), item_pairs)
        LOG.info("temperature %g %s%s, offsets for %d item pairs", *told)
        folder, curve_folder = model_directories(run.directory, is_second=refused is not None)
        item_ids = pq.read_table(checked(matrix.items)).column("item_id").combine_chunks()
        fitted = FittedModel(
            folder=folder,
            files=model.save(folder, item_ids=item_ids),
            curve=_write_curve(curve_folder / "curve.json", curve),
            temperature=model.temperature,
            temperature_is_found=is_found or (refused is not None and refused.temperature_is_found),
            temperature_by_activity=model.usual_count is not None,
            doubt=doubt,
            is_sparse=is_sparse,
            item_pairs=item_pairs,
        )
    meter.save(run)
    return fitted


def _more_random(config: PipelineConfig, refused: FittedModel) -> SamplingConfig:
    """Return the sampling settings of a second attempt, after privacy gates refused the first model of the run."""
    second = more_random(
        Randomness(refused.temperature, refused.doubt),
        may_doubt=may_doubt(config, is_sparse=refused.is_sparse),
    )
    by_activity = {"temperature_by_activity": refused.temperature_by_activity}
    return config.sampling.model_copy(update=second._asdict() | by_activity)


def _write_curve(path: Path, curve: Sequence[EpochReport]) -> Artifact:
    return write_json(path, [report.model_dump(mode="json") for report in curve])


def report_epoch(report: EpochReport) -> None:
    """Log the state of training after an epoch; the command line shows it as progress."""
    is_shown = report.epoch in (1, report.of_epochs) or not report.epoch % _LOG_EVERY_EPOCHS
    loss = "" if report.loss == report.validation else f"loss {report.loss:.4f}, "
    message = "%s epoch %d/%d: %svalidation %.4f, best %.4f"
    figures = (report.stage, report.epoch, report.of_epochs, loss, report.validation, report.best)
    LOG.log(logging.INFO if is_shown else logging.DEBUG, message, *figures, extra={"epoch": report})
