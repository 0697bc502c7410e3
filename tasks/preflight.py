"""Checks before the work begins, e.g. that directories can be written and that the disk has enough space."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdrm_core.config import PathsConfig, PipelineConfig
from sdrm_core.errors import ConfigError, DataError, Problem, SdrmError, noted, raise_all
from sdrm_core.model.devices import resolve_device
from sdrm_core.quality.panel import require_possible
from sdrm_core.storage import private_directory
from tasks.records import JOURNAL
from tasks.release.history import known_role_key_mark, require_readable_latest
from tasks.role_key import KEY_VARIABLE, ROLES_OF_KEY, mark_of, role_secret
from tasks.stage import LOG

# A synthetic interaction takes 4 bytes in its shard, and at most about 12 bytes in a Parquet file with 64-bit ids.
_BYTES_PER_INTERACTION = 12


def require_startable(config: PipelineConfig) -> None:
    """Check, before the run begins, what would otherwise end it hours later.

    All problems are raised together, as one error of the first problem's class.

    Raises:
        DataError: a directory cannot be written.
        ArtifactError: the latest release, with which the new one is compared, cannot be read.
        ConfigError: the device or a package that a judge needs is missing, or the role key or the roles' shares are
            not those of the latest release.
    """
    errors: list[SdrmError] = []
    before = None
    with noted(errors):
        require_writable(config.paths, dataset=config.dataset)
        before = require_readable_latest(config)
    with noted(errors):
        resolve_device(config.compute.device)
    with noted(errors):
        require_possible(config.utility.judges, n_items=None)
    with noted(errors):
        secret = role_secret(config.roles)
        if before and before.get("roles") == ROLES_OF_KEY:
            _require_its_key(config, before, mark=mark_of(secret))
            _require_its_shares(config, before)
    raise_all(errors)


def _require_its_key(config: PipelineConfig, before: Mapping[str, Any], *, mark: str | None) -> None:
    """Raise a ``ConfigError`` if there is no role key, or not the one that the release ``before`` was made with.

    If nothing tells that key, only a warning is logged: a journal can be lost although the key is right, and then
    nobody could prove it.

    Args:
        config: settings of the run.
        before: manifest of the latest release.
        mark: mark of the present key (``mark_of``); None if there is no key.
    """
    known = known_role_key_mark(config, before)
    if mark and not known:
        LOG.warning(
            "roles: cannot check whether the role key is still that of the latest release of %s: %s has no line of a "
            "run that published it or an earlier one, and its run's folder is gone. With another key, people that "
            "release was trained on would count as people the model never saw. Restore the file, or make sure that the "
            "key is the same",
            config.dataset,
            config.paths.work / JOURNAL,
        )
    if mark is None or known not in (None, mark):
        raise ConfigError(
            f"roles: the latest release of {config.dataset} has roles by a secret key, and now there is "
            f"{'none' if mark is None else 'another'}. People that release was trained on would count as people the "
            f"model never saw. Set the same key again, in {KEY_VARIABLE} or roles.key_block; if you want the change, "
            "publish under another name (dataset)"
        )


def _require_its_shares(config: PipelineConfig, before: Mapping[str, Any]) -> None:
    """Raise a ``ConfigError`` if the roles have other shares than those of the release ``before`` (its manifest)."""
    then, now = before["config"]["roles"], config.roles.model_dump(exclude={"key_block"})
    changed = [f"roles.{name} was {then[name]} and is {share}" for name, share in now.items() if share != then[name]]
    if changed:
        raise ConfigError(
            f"{', '.join(changed)} since the latest release of {config.dataset}. People that release was trained on "
            "would count as people the model never saw. Set the same shares again; if you want the change, publish "
            "under another name (dataset)"
        )


def require_writable(paths: PathsConfig, *, dataset: str | None = None) -> None:
    """Raise a ``DataError`` that names every output directory, including the data set's, that cannot be written."""
    directories = [("paths.releases", paths.releases, False), ("paths.work", paths.work, True)]
    if dataset and (paths.releases.expanduser() / dataset).exists():  # created by the first release
        directories.append(("paths.releases", paths.releases / dataset, False))
    problems = [
        problem
        for name, path, is_private in directories
        if (problem := unwritable(path, name=name, is_private=is_private))
    ]
    if problems:
        raise DataError(problems)


def unwritable(path: Path, *, name: str, is_private: bool) -> Problem | None:
    """Try to write into a directory; return the problem, or None. A missing directory is created.

    is_private: create it readable by its owner only.
    """
    directory = path.expanduser()
    try:
        if is_private:
            private_directory(directory)
        else:
            directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        return Problem(
            f"{path} ({name})", f"cannot be written: {reason}", "Choose a directory that this user can write to"
        )


def require_there(path: Path) -> None:
    """Raise a ``DataError`` if a path from the command line does not exist."""
    if not path.exists():
        remedy = "Check the path; relative ones start at the current directory"
        raise DataError(Problem(str(path), "there is no such file or directory", remedy))


def require_space(path: Path, *, users: int, interactions_per_user: float) -> None:
    """Raise a ``DataError`` if the disk of ``path`` has too little space for ``users`` synthetic users."""
    needed = int(users * interactions_per_user * _BYTES_PER_INTERACTION)
    free = shutil.disk_usage(path).free
    if needed > free:
        fitting = int(free / (interactions_per_user * _BYTES_PER_INTERACTION))
        raise DataError(
            Problem(
                str(path),
                f"{users:,} synthetic users need about {needed / 1e9:,.1f} GB, but only {free / 1e9:,.1f} GB are free",
                f"Ask for at most {fitting:,} users, or free some space",
            )
        )
