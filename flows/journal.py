"""The journal ``runs.jsonl`` in ``paths.work``: one line per run with times, data set, verdict and release."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

from sdrm_core.config import PipelineConfig
from sdrm_core.errors import DataError, GateFailed, Problem, SdrmError
from sdrm_core.storage import private_directory
from tasks.records import JOURNAL, Release, Run


@dataclass
class Entry:
    """Values for a run's line in the journal; the run fills them in when it knows them."""

    run: Run | None = None
    release: Release | None = None
    role_key_mark: str | None = None
    source_sha256: str | None = None


@contextmanager
def journal(config: PipelineConfig) -> Iterator[Entry]:
    """Append a line to the journal at the end of the block, also after an error, which is then raised again.

    Raises:
        DataError: the journal cannot be written; raised before the block begins.
    """
    started = datetime.now(UTC)
    entry, verdict = Entry(), "published"
    file = _opened(config)
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
            "release": _published(entry, since=started),
            "role_key_mark": entry.role_key_mark,
            "source_sha256": entry.source_sha256,
        }
        try:
            with file:
                file.write(json.dumps(line, sort_keys=True) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:  # e.g. a full disk: the release remains published
            from tasks.stage import LOG  # here, because the import takes seconds

            LOG.warning("%s has no line of this run (%s)", file.name, error)


def _published(entry: Entry, *, since: datetime) -> str | None:
    """Return the path of the run's release, also if the run was interrupted just after publishing it; else None."""
    if entry.release:
        return str(entry.release.path)
    if entry.run is None:
        return None
    from tasks.release.history import published_by  # takes seconds, but a run has already imported it

    found = published_by(entry.run, since=since)
    return str(found) if found else None


def _opened(config: PipelineConfig) -> TextIO:
    path = config.paths.work.expanduser() / JOURNAL
    try:
        private_directory(path.parent)
        file = open(path, "a+", encoding="utf-8", opener=_for_its_owner)  # noqa: SIM115
        if file.tell() and not path.read_bytes().endswith(b"\n"):  # cut off by a crash or a full disk
            file.write("\n")
        return file
    except OSError as error:
        from tasks.preflight import require_writable  # here, because the import takes seconds

        require_writable(config.paths)  # raises if a directory is the cause
        what = f"cannot be written: {error.strerror}"
        raise DataError(Problem(str(path), what, "Give it to this user, or move it away")) from None


def _for_its_owner(path: str, flags: int) -> int:
    """Open a file that only its owner can read: the directory may have existed before, readable by everybody."""
    return os.open(path, flags, mode=0o600)


def _verdict(error: BaseException) -> str:
    if isinstance(error, GateFailed):
        return f"refused by gate {error.gate}"
    if isinstance(error, SdrmError):
        return f"failed: {type(error).__name__}"
    if not isinstance(error, Exception):  # Ctrl-C, or a run cancelled in Prefect
        return "interrupted"
    reason = f", {os.strerror(error.errno)}" if isinstance(error, OSError) and error.errno else ""
    return f"crashed: {type(error).__name__}{reason}"
