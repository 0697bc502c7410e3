"""The search for settings: trial after trial until the time is up, judged on validation users alone."""

import time
from statistics import median

from prefect import flow

from tasks.claims import claimed
from tasks.ingest import ingest
from tasks.matrix import build_matrix
from tasks.tune import Tuning, open_search, try_settings
from tasks.tune_results import Tuned, write_tuned


@flow(
    name="tune",
    flow_run_name="{tuning.config.dataset} seed {tuning.config.seed}",
    persist_result=True,
    result_serializer="json",
    validate_parameters=True,
)
def tune(tuning: Tuning) -> Tuned:
    """Search for the settings of the greatest utility that pass the privacy gates.

    Every call makes at least one trial, and begins none that would probably end after the time is up. The trials
    of earlier calls in the same directory count.

    Raises:
        ConfigError: the output directory holds something else.
        DataError: the source cannot be used.
        TrainingError: no trial came to its end.
    """
    paths = tuning.config.paths
    with claimed(tuning.out, command="tune", question=tuning.question(), releases=paths.releases):
        within = paths.model_copy(update={"work": tuning.out / "input"})
        ingested = ingest(tuning.config.model_copy(update={"paths": within}))
        search = open_search(tuning, ingested, build_matrix(ingested))
        started, seconds = time.monotonic(), [try_settings(search)]
        while time.monotonic() - started + median(seconds) <= 60 * tuning.minutes:
            seconds.append(try_settings(search))
        return write_tuned(search)
