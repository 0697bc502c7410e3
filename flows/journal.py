"""One line a run in ``WORK/runs.jsonl``: when, what, how it ended, which release."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sdrm_core.config import PipelineConfig
from sdrm_core.errors import GateFailed, SdrmError
from sdrm_core.records import Release, Run
from sdrm_core.storage import private_directory


@dataclass
class Entry:
    """What a run leaves in the journal; filled in as the run learns it."""

    run: Run | None = None
    release: Release | None = None


@contextmanager
def journal(config: PipelineConfig) -> Iterator[Entry]:
    """Append a line when the block ends, however it ends; an error goes on its way afterwards."""
    started = datetime.now(UTC)
    entry, verdict = Entry(), "published"
    try:
        yield entry
    except BaseException as error:
        verdict = _verdict(error)
        raise
    finally:
        line = {
            "started_at": started.isoformat(timespec="seconds"),
            "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "dataset": config.dataset,
            "seed": config.seed,
            "run": entry.run.directory.name if entry.run else None,
            "verdict": verdict,
            "release": str(entry.release.path) if entry.release else None,
        }
        work = private_directory(config.paths.work.expanduser())
        with (work / "runs.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, sort_keys=True) + "\n")


def _verdict(error: BaseException) -> str:
    if isinstance(error, GateFailed):
        return f"refused by gate {error.gate}"
    if isinstance(error, SdrmError):
        return f"failed: {type(error).__name__}"
    return f"crashed: {type(error).__name__}"
