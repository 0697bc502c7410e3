"""Where releases lie, and what the latest one was."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from sdrm_core.records import Run, Samples
from sdrm_core.storage import parse_json

LATEST = "latest.json"


def releases_of(run: Run) -> Path:
    """Return the folder of the data set's releases."""
    return run.config.paths.releases.expanduser().resolve() / run.config.dataset


def latest_release(run: Run) -> Path | None:
    """Return the folder of the data set's latest release, or None before the first."""
    pointer = releases_of(run) / LATEST
    if not pointer.is_file():
        return None
    return pointer.parent / str(parse_json(pointer)["version"])


def previous_user_ids(run: Run, samples: Samples) -> np.ndarray | None:
    """Return the distinct user ids of the latest release, which a new one must not repeat.

    None before the first release, and where these very users are the latest: that is the same release again, ids and
    all.
    """
    latest = latest_release(run)
    if latest is None:
        return None
    manifest = parse_json(latest / "manifest.json")
    published = (manifest["run"], manifest["model"]["sha256"], manifest["attempts"])
    if published == (run.digest, samples.model, samples.attempt + 1):
        return None
    ids = [np.empty(0, dtype=np.int64)]
    for part in sorted((latest / "interactions").glob("*.parquet")):
        ids.append(np.unique(pq.read_table(part, columns=["user_id"]).column("user_id").to_numpy()))
    return np.unique(np.concatenate(ids))
