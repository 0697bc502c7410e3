"""Read the interaction log and write it into the run's directory. Only this stage writes real user ids."""

import hashlib

import pyarrow as pa

from sdrm_core.config import PipelineConfig
from sdrm_core.data.catalogue import resolve
from sdrm_core.data.loading import load_interactions
from sdrm_core.data.stored_log import write_log
from sdrm_core.errors import DataError
from sdrm_core.records import Artifact
from sdrm_core.storage import digest_of, private_directory, remove_temporary, write_artifact, write_json
from tasks.claims import exclusive_lock
from tasks.preflight import unwritable
from tasks.records import Ingested, Run
from tasks.role_key import role_secret, sealed
from tasks.settings import deciding_settings
from tasks.stage import Meter, stage
from tasks.working_directory import CONFIG, run_directory


@stage("ingest")
def ingest(config: PipelineConfig) -> Ingested:
    """Read and check the source, create the run's working directory, and write the log into it."""
    with Meter("ingest") as meter:
        table, source = load_interactions(config.source, cache=config.paths.cache.expanduser(), seed=config.seed)
        resolved = config.model_copy(update={"source": resolve(config.source)})
        run = open_run(resolved, source_sha256=source.sha256, secret=role_secret(config.roles))
        interactions = store_log(table, run)
    meter.save(run)
    return Ingested(run=run, source=source, interactions=interactions)


def store_log(table: pa.Table, run: Run) -> Artifact:
    """Write the log into the run's directory, without what killed processes left of it there, which are real ids, too.

    Raises:
        SdrmError: another process works on the same run; it may be writing the log now.
    """
    path = private_directory(run.directory / "ingest") / "interactions.parquet"
    with exclusive_lock(run.directory):
        remove_temporary(path.parent.glob(".*"))
        return write_artifact(path, lambda temporary: write_log(table, temporary))


def open_run(config: PipelineConfig, *, source_sha256: str, secret: bytes | None) -> Run:
    """Create the working directory, whose name is a digest of configuration, input, kind of device and role key.

    If the same run is started again, it finds the files of the earlier run there. A run on a GPU has another directory
    than one on the CPU: the same seed gives other results there, and a diffusion model fits only the VAE it was trained
    on.
    """
    question = f"{digest_of(deciding_settings(config))} {source_sha256}"
    digest = sealed(hashlib.sha256(question.encode()).hexdigest(), secret)
    private_directory(config.paths.work.expanduser())
    directory = run_directory(config.paths.work, digest)
    if problem := unwritable(directory, name="the run's directory", is_private=True):
        raise DataError(problem)
    run = Run(config=config, directory=directory.resolve(), digest=digest)
    write_json(run.directory / CONFIG, config.model_dump(mode="json"))
    return run
