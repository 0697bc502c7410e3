"""The flow of ``sdrm tune``: try settings until the time is over, judged only on validation users."""

import time
from statistics import median

from prefect import flow

from tasks.claims import INPUT, claimed
from tasks.ingest import ingest
from tasks.matrix import build_matrix
from tasks.tune.results import Tuned, write_tuned
from tasks.tune.stages import Tuning, open_search, try_settings


@flow(
    name="tune",
    flow_run_name="{tuning.config.dataset} seed {tuning.config.seed}",
    persist_result=True,
    result_serializer="json",
    validate_parameters=True,
)
def tune(tuning: Tuning) -> Tuned:
    """Search for the settings with the highest utility that pass the privacy gates.

    Every call makes at least one trial, and starts no further trial that would probably end after the time limit. The
    trials of earlier calls in the same directory are used too.

    Raises:
        ConfigError: the output directory has other files, or results of other settings or data, or is in the releases.
        DataError: the source cannot be used, or the output directory cannot be written.
        TrainingError: no trial was completed.
    """
    paths = tuning.config.paths
    with claimed(tuning.out, command="tune", question=tuning.question(), paths=paths):
        within = paths.model_copy(update={"work": tuning.out / INPUT})
        ingested = ingest(tuning.config.model_copy(update={"paths": within}))
        search = open_search(tuning, ingested, build_matrix(ingested))
        started, seconds = time.monotonic(), [try_settings(search)]
        while time.monotonic() - started + median(seconds) <= 60 * tuning.minutes:
            seconds.append(try_settings(search))
        return write_tuned(search)
