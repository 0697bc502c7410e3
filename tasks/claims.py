"""Reserve a working directory: lock it for one process, and bind it to one set of settings and one data set."""

import fcntl
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sdrm_core.config import PathsConfig, lies_within
from sdrm_core.errors import ArtifactError, ConfigError, DataError, Problem, SdrmError
from sdrm_core.storage import DEAD_AFTER_SECONDS, PRIVATE, parse_json, remove_temporary, write_json
from tasks.preflight import unwritable
from tasks.records import Run
from tasks.working_directory import forget_judgement

INPUT = "input"  # in an output directory: the copy of the log, and what was made of it
_LOCK = ".lock"
_CODE = "code"  # in a question: digest of the program
_SHOWN = 4
_MISSING = object()


@contextmanager
def working_in(run: Run) -> Iterator[None]:
    """Lock the run's directory during the block, and remove the gate reports and meters of an earlier run.

    Half-written files, which killed processes left there, are removed too.

    The ingest stage runs before, because its result gives the name of the directory. It locks the directory itself
    while it writes.

    Raises:
        SdrmError: another process works on the same run.
    """
    with exclusive_lock(run.directory):
        forget_judgement(run.directory)
        _remove_half_written(run.directory, cache=run.config.paths.cache)
        yield


@contextmanager
def claimed(out: Path, *, command: str, question: Mapping[str, Any], paths: PathsConfig) -> Iterator[None]:
    """Lock the output directory ``out`` during the block; create it if it is missing.

    Half-written files, which killed processes left there, are removed. If the block ends with an error before
    ``bind_input``, the copy of the log is removed and the directory can be used for another question.

    Args:
        out: the directory, used by this command only; it will contain real user ids.
        command: subcommand of ``sdrm``, e.g. ``compare``; ``question`` is stored in ``<command>.json``.
        question: the settings that decide the results, JSON-compatible.
        paths: the configured directories; ``out`` must not be inside that of the releases, which is shared.

    Raises:
        ConfigError: ``out`` contains other files or results of other settings, or is inside the releases.
        DataError: ``out`` cannot be written.
        SdrmError: another process works in ``out``.
    """
    about = out / f"{command}.json"
    if lies_within(out, paths.releases):
        raise ConfigError(
            f"--out: {out}, which is to hold real user ids, lies in {paths.releases} (paths.releases), which is "
            "shared. Name a directory elsewhere"
        )
    if out.is_dir() and not about.is_file() and any(path.name != _LOCK for path in out.iterdir()):
        raise ConfigError(f"--out: {out} is not empty and was not made by sdrm {command}. Name a new directory")
    if problem := unwritable(out, name="--out", is_private=True):
        raise DataError(problem)
    with exclusive_lock(out):
        if about.is_file() and not _is_unbound(about):
            _require_same(_known(about)["question"], question, out=out, command=command)
        else:
            _forget_input(out)
            write_json(about, {"question": question, "input": None})
        _make_private(out)
        _remove_half_written(out, cache=paths.cache)
        try:
            yield
        except BaseException:
            with suppress(OSError, ArtifactError):
                if _is_unbound(about):  # no results yet: after a mistake, the directory can be used again
                    _forget_input(out)
                    about.unlink()
            raise


def _is_unbound(about: Path) -> bool:
    return _known(about)["input"] is None


def _forget_input(out: Path) -> None:
    shutil.rmtree(out / INPUT, ignore_errors=True)


def _remove_half_written(directory: Path, *, cache: Path) -> None:
    """Remove what killed processes left in ``directory``, which is locked, and, once it is old, in the downloads."""
    remove_temporary(directory.rglob(".*"))
    remove_temporary(cache.expanduser().glob("*/.*"), idle_seconds=DEAD_AFTER_SECONDS)


def _make_private(out: Path) -> None:
    """Make the directory readable by its owner only; if it existed before, it may have been readable by everybody."""
    try:
        out.chmod(PRIVATE)
    except OSError as error:
        what = f"its mode cannot be set so that only you can read it: {error.strerror}"
        raise DataError(Problem(f"{out} (--out)", what, "Choose a directory that belongs to you")) from None


@contextmanager
def exclusive_lock(directory: Path) -> Iterator[None]:
    """Lock the directory against other processes of this pipeline during the block.

    Raises:
        SdrmError: another process has locked it.
    """
    with (directory / _LOCK).open("w") as lock:  # released by the system when the process ends, in any way
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SdrmError(f"another process is at work in {directory}. Wait for it or end it") from None
        yield


def bind_input(out: Path, *, command: str, input_digest: str, run: Run) -> None:
    """Record which input data, read by ``run``, the results in the directory come from.

    Raises:
        ConfigError: the directory has results of other input data. The copy of these is removed.
    """
    about = out / f"{command}.json"
    known = _known(about)
    if known["input"] not in (None, input_digest):
        shutil.rmtree(run.directory, ignore_errors=True)
        raise ConfigError(
            f"--out: the results in {out} come from other data: the source has changed since, or another SDRM_ROLE_KEY "
            "has assigned the users' roles. Name a new directory, or restore the data and the key"
        )
    write_json(about, {**known, "input": input_digest})


def _known(about: Path) -> dict[str, Any]:
    known = parse_json(about)
    if not isinstance(known, dict) or not isinstance(known.get("question"), dict) or "input" not in known:
        raise ArtifactError(f"{about} is not as it was written. Name a new directory, or restore the file")
    return known


def _require_same(known: Mapping[str, Any], asked: Mapping[str, Any], *, out: Path, command: str) -> None:
    before, now = dict(_flat(known)), dict(_flat(asked))
    names = sorted(name for name in {*before, *now} if before.get(name, _MISSING) != now.get(name, _MISSING))
    if not names:
        return
    if _CODE in names:
        raise ConfigError(
            f"--out: {out} was made by another version of the program, whose results cannot be continued. Name a new "
            "directory, or go back to that version"
        )
    shown = ", ".join(f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    raise ConfigError(
        f"--out: {out} was made by sdrm {command} with another configuration: {shown}{more}. "
        "Name a new directory, or use the earlier settings"
    )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
