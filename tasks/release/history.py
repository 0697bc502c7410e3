"""Find the releases of a data set, the latest one, and what is known of the runs that published them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from sdrm_core.config import PipelineConfig
from sdrm_core.errors import ArtifactError
from sdrm_core.storage import parse_json
from tasks.records import JOURNAL, Run, Samples
from tasks.release.interactions import written_files
from tasks.resumable import DAMAGE
from tasks.stage import LOG
from tasks.working_directory import ROLE_KEY_MARK, run_directory

LATEST = "latest.json"
MANIFEST = "manifest.json"


def releases_of(config: PipelineConfig) -> Path:
    """Return the folder of the data set's releases."""
    return config.paths.releases.expanduser().resolve() / config.dataset


def release_at(path: Path) -> Path:
    """Return ``path`` itself or, if it contains ``latest.json``, the folder of the release named there.

    Raises:
        ArtifactError: ``latest.json`` does not name a release.
    """
    pointer = path / LATEST
    if not pointer.is_file():
        return path
    try:
        return path / str(parse_json(pointer)["version"])
    except (ArtifactError, KeyError, TypeError) as error:
        remedy = 'Remove it, or make it name an existing release: {"version": …}'
        raise ArtifactError(f"{pointer} does not name a release ({error}). {remedy}") from None


def latest_release(config: PipelineConfig) -> Path | None:
    """Return the folder of the release that ``latest.json`` names or, if that is gone, of the newest one left, or None.

    Raises:
        ArtifactError: ``latest.json`` is not a file or does not name a release.
    """
    pointer = releases_of(config) / LATEST
    if pointer.exists() and not pointer.is_file():
        raise ArtifactError(f"{pointer} is not a file, so it cannot name a release. Move it away")
    named = release_at(pointer.parent) if pointer.is_file() else None
    if named and (named / MANIFEST).is_file():
        return named
    left = sorted(manifest.parent for manifest in pointer.parent.glob(f"[!.]*/{MANIFEST}"))  # hidden: not published
    if named or left:
        LOG.warning("%s names no release that exists; the newest one left: %s", pointer, left[-1] if left else "none")
    return left[-1] if left else None


def require_readable_latest(config: PipelineConfig) -> Mapping[str, Any] | None:
    """Return the manifest of the latest release, or None if there is none.

    Raises:
        ArtifactError: the release is damaged, so a new release cannot be compared with it.
    """
    latest = latest_release(config)
    if latest is None:
        return None
    with _readable(latest):
        manifest: Mapping[str, Any] = parse_json(latest / MANIFEST)
        _name_of(manifest)
        _who_published(manifest)
        for part in written_files(latest, manifest["files"]):
            pq.read_schema(part).field("user_id")
        return manifest


def previous_user_ids(run: Run, samples: Samples) -> np.ndarray | None:
    """Return the distinct user ids of the latest release; a new release must not repeat them.

    None if there is no release, or if the latest release contains these same ``samples``: publishing them again repeats
    the ids on purpose.
    """
    latest = latest_release(run.config)
    if latest is None:
        return None
    with _readable(latest):
        manifest = parse_json(latest / MANIFEST)
        if _who_published(manifest) == (run.digest, samples.model, samples.attempt + 1):
            return None
        ids = [np.empty(0, dtype=np.int64)]
        for part in written_files(latest, manifest["files"]):
            ids.append(np.unique(pq.read_table(part, columns=["user_id"]).column("user_id").to_numpy()))
    return np.unique(np.concatenate(ids))


def known_role_key_mark(config: PipelineConfig, manifest: Mapping[str, Any]) -> str | None:
    """Return the mark (``tasks.role_key.mark_of``) of the key that the release of ``manifest`` was made with, or None.

    It is in the journal's line of the run that published the release. A run that was killed just after publishing has
    no line, but its folder has the mark. Without either, the release has the key of the data set's newest release with
    a line: a night with another key would have been refused.
    """
    lines = [line for line in _published_lines(config.paths.work) if line[-1]]
    its_own = (mark for dataset, release, mark in lines if (dataset, release.name) == _name_of(manifest))
    of_others = (mark for _, release, mark in lines if release.parent == releases_of(config))
    return next(its_own, None) or _left_by_run(config, manifest["run"]) or next(of_others, None)


def _published_lines(work: Path) -> Iterator[tuple[str, Path, str | None]]:
    """Yield data set, release and mark of the role key of the journal's runs that published, the newest first.

    The release may have been moved since.
    """
    journal = work.expanduser() / JOURNAL
    if not journal.is_file():
        return
    for line in reversed(journal.read_text(encoding="utf-8", errors="replace").splitlines()):
        with suppress(json.JSONDecodeError, KeyError, TypeError):  # a line cut off by a crash, or not an entry
            entry = json.loads(line)
            yield entry["dataset"], Path(entry["release"]), entry.get("role_key_mark")


def _left_by_run(config: PipelineConfig, digest: str) -> str | None:
    with suppress(ArtifactError, TypeError):
        mark: str | None = parse_json(run_directory(config.paths.work, digest) / ROLE_KEY_MARK)
        return mark
    return None


def published_by(run: Run, *, since: datetime) -> Path | None:
    """Return the latest release if ``run`` published it at or after the time ``since``; otherwise None."""
    with suppress(ArtifactError, OSError, KeyError, TypeError, ValueError):
        latest = latest_release(run.config)
        if latest:
            manifest = parse_json(latest / MANIFEST)
            is_new = datetime.fromisoformat(manifest["created_at"]) >= since.replace(microsecond=0)
            return latest if is_new and manifest["run"] == run.digest else None
    return None


def _name_of(manifest: Mapping[str, Any]) -> tuple[str, str]:
    """Return the data set and the version of a release."""
    return manifest["dataset"], manifest["version"]


def _who_published(manifest: Mapping[str, Any]) -> tuple[str, str, int]:
    """Return the run, the model's digest and the number of attempts of a release."""
    return manifest["run"], manifest["model"]["sha256"], manifest["attempts"]


@contextmanager
def _readable(release: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        what = next(iter(str(error).splitlines()), type(error).__name__)
        raise ArtifactError(
            f"{release}, the latest release, is not as it was published ({what}), so a new release cannot be compared "
            "with it. Move it away, or restore it from a backup"
        ) from None
