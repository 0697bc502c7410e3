"""The nightly flow: read, check, train, sample, judge, publish. A release is published only if the gates pass."""

from prefect import flow

from flows.journal import journal
from sdrm_core.config import PipelineConfig
from sdrm_core.errors import GateFailed
from tasks.claims import working_in
from tasks.gates.checkpoints import (
    gate_matrix,
    gate_raw_interactions,
    gate_release,
    gate_synthetic,
    refused_for_privacy,
)
from tasks.ingest import ingest
from tasks.matrix import build_matrix
from tasks.measure import measure_fidelity, measure_privacy, measure_utility
from tasks.preflight import require_startable
from tasks.records import FittedModel, Measures, Release, Run, Samples, TrainedVae, UserItemMatrix
from tasks.release.publish import publish
from tasks.role_key import mark_of, role_secret
from tasks.sample import sample
from tasks.stage import LOG
from tasks.train import diffuse, pretrain


@flow(
    name="regenerate",
    flow_run_name="{config.dataset} seed {config.seed}",
    persist_result=True,
    result_serializer="json",
    validate_parameters=True,
)
def regenerate(config: PipelineConfig) -> Release:
    """Make and publish a new synthetic release of one data set.

    Raises:
        DataError: the source cannot be used; the message names every problem.
        TrainingError: the model cannot be trained on this data.
        GateFailed: a gate failed; the previous release is not changed.
    """
    with journal(config) as entry:
        require_startable(config)
        entry.role_key_mark = mark_of(role_secret(config.roles))
        ingested = ingest(config)
        run = entry.run = ingested.run
        entry.source_sha256 = ingested.source.sha256
        with working_in(run):
            gate_raw_interactions(run, ingested)
            matrix = build_matrix(ingested)
            gate_matrix(run, matrix)
            vae = pretrain(run, matrix)
            model, samples, measures = sample_until_accepted(run, matrix, vae)
            entry.release = publish(
                run,
                source=ingested.source,
                matrix=matrix,
                vae=vae,
                model=model,
                samples=samples,
                measures=measures,
            )
    return entry.release


def sample_until_accepted(run: Run, matrix: UserItemMatrix, vae: TrainedVae) -> tuple[FittedModel, Samples, Measures]:
    """Fit, sample and judge; if a gate refuses the first attempt, make one more (``privacy.attempts`` is at most 2).

    The second attempt uses a new seed. If a privacy gate refused the first, alone or not, and no
    ``sampling.temperature`` is configured, a second model draws items more randomly: with only another seed, the first
    would leak as much again.
    """
    model, last = diffuse(run, matrix, vae), run.config.privacy.attempts - 1
    for attempt in range(last):
        try:
            return model, *sample_and_judge(run, matrix, model, attempt=attempt)
        except GateFailed as refusal:
            LOG.warning("attempt %d was refused: %s", attempt + 1, refusal)
            if run.config.sampling.temperature is None and refused_for_privacy(refusal):
                model = diffuse(run, matrix, vae, refused=model)
    return model, *sample_and_judge(run, matrix, model, attempt=last)


def sample_and_judge(run: Run, matrix: UserItemMatrix, model: FittedModel, *, attempt: int) -> tuple[Samples, Measures]:
    """Sample once, then measure and check these synthetic users; raise ``GateFailed`` if a gate fails."""
    samples = sample(run, matrix, model, attempt=attempt)
    fidelity = measure_fidelity(run, matrix, samples)
    gate_synthetic(run, matrix, samples, fidelity)
    measures = Measures(
        fidelity=fidelity,
        utility=measure_utility(run, matrix, samples),
        privacy=measure_privacy(run, matrix, samples),
    )
    gate_release(run, samples, measures)
    return samples, measures
