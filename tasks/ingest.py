"""Read the interaction log into the run's directory. Real ids are written here and nowhere else."""

import hashlib

import pyarrow.parquet as pq

from sdrm_core.config import PipelineConfig
from sdrm_core.data.catalogue import resolve
from sdrm_core.data.loading import load_interactions
from sdrm_core.storage import private_directory, write_artifact, write_json
from tasks.records import Ingested, Run
from tasks.role_key import role_secret, sealed
from tasks.stage import Meter, stage


@stage("ingest")
def ingest(config: PipelineConfig) -> Ingested:
    """Read and check the source; open the run's working directory."""
    with Meter("ingest") as meter:
        table, source = load_interactions(config.source, cache=config.paths.cache.expanduser(), seed=config.seed)
        resolved = config.model_copy(update={"source": resolve(config.source)})
        run = open_run(resolved, source_sha256=source.sha256, secret=role_secret(config.roles))
        path = private_directory(run.directory / "ingest") / "interactions.parquet"
        interactions = write_artifact(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))
    meter.save(run)
    return Ingested(run=run, source=source, interactions=interactions)


def open_run(config: PipelineConfig, *, source_sha256: str, secret: bytes | None) -> Run:
    """Create the working directory named by the digest of configuration, input and role key, and describe it.

    The same run started again finds what an earlier one left there.
    """
    digest = sealed(hashlib.sha256(f"{config.result_digest()} {source_sha256}".encode()).hexdigest(), secret)
    directory = private_directory(config.paths.work.expanduser()) / digest[:16]
    run = Run(config=config, directory=private_directory(directory).resolve(), digest=digest)
    write_json(run.directory / "config.json", config.model_dump(mode="json"))
    return run
