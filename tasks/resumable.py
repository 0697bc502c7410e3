"""Working directories of long runs: locked to one process, bound to one set of settings, finished work reused."""

import fcntl
import hashlib
import inspect
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache, wraps
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, get_type_hints

from pydantic import ValidationError

import sdrm_core
from sdrm_core.errors import ArtifactError, ConfigError, DataError, Problem, SdrmError
from sdrm_core.records import Artifact, Record, Run
from sdrm_core.storage import PRIVATE, checked, parse_json, private_directory, write_json
from tasks.preflight import unwritable
from tasks.stage import ATTEMPTS, GATES, LOG, stages_directory

UNDERLYING = ("data", "loops.py", "randomness.py", "threads.py")
"""Modules of the core that all rooms stand on."""

P = ParamSpec("P")
R = TypeVar("R", bound=Record)

_COMPUTING = ("implicit", "numba", "numpy", "scikit-learn", "scipy", "torch")  # other versions, other last bits
_LOCK = ".lock"
_SHOWN = 4
_MISSING = object()


def digest_of(*parts: Any) -> str:
    """Return the hexadecimal SHA-256 of JSON-compatible parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@lru_cache
def code_digest(*rooms: str) -> str:
    """Return the digest of these modules and packages of ``sdrm_core``, and of the libraries they compute with.

    A result that a changed method would not give again must not be taken for its result; a version number is
    not changed often enough to tell.
    """
    root = Path(sdrm_core.__file__).parent
    files = [
        path for room in rooms for path in ([root / room] if room.endswith(".py") else (root / room).rglob("*.py"))
    ]
    return _digest_of_files(files, root=root)


def finished_once(stage: Callable[P, R]) -> Callable[P, R]:
    """Decorate a stage of a run so that it reuses its result from an earlier run in the same directory.

    The result is reused if the settings, the code and the stage's inputs are the same and its files are intact. The
    stage's meter is then marked ``cached``.

    Args:
        stage: its parameter ``run`` names the directory, the others are records or plain values; returns a record.
    """
    signature, kind, name = inspect.signature(stage), get_type_hints(stage)["return"], stage.__name__
    code = _whole_code()  # now, at import: the files may be others by the time the stage runs

    @wraps(stage)
    def resumed(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs).arguments
        run: Run = given["run"]
        meter = stages_directory(run) / f"{name}.json"
        others = {name: value for name, value in given.items() if name != "run"}
        question = digest_of(code, run.digest, str(run.directory), _plain(others))  # where it publishes changes nothing
        path = private_directory(run.directory / "finished") / f"{name}-{question[:16]}.json"
        if kept := _kept(path, kind):
            LOG.info("%s was finished by an earlier run", name)
            result: R = kept[0]
            write_json(meter, kept[1] | {"cached": True})
            return result
        result = stage(*args, **kwargs)
        write_json(path, {"result": _plain(result), "meter": parse_json(meter)})
        return result

    return resumed


def _kept(path: Path, kind: type[R]) -> tuple[R, dict[str, Any]] | None:
    """Return result and meter of a finished stage; None if there is none, or anything of it is damaged."""
    if not path.is_file():
        return None
    try:
        kept = parse_json(path)
        result = kind.model_validate(kept["result"])
    except (ArtifactError, ValidationError, KeyError, TypeError) as error:
        LOG.warning("%s is damaged (%s); the stage is run again", path, error)
        return None
    return (result, kept["meter"]) if all(map(_is_intact, _artifacts(result))) else None


@lru_cache
def _whole_code() -> str:
    root = Path(sdrm_core.__file__).parents[1]
    files = [path for package in ("sdrm_core", "tasks") for path in (root / package).rglob("*.py")]
    return _digest_of_files(files, root=root)


def _digest_of_files(files: Iterable[Path], *, root: Path) -> str:
    texts = [(str(path.relative_to(root)), path.read_text(encoding="utf-8")) for path in sorted(files)]
    return digest_of(texts, [_version(library) for library in _COMPUTING])


def _version(library: str) -> str:
    with suppress(PackageNotFoundError):
        return version(library)
    return ""


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.model_dump(mode="json")
    return {name: _plain(one) for name, one in value.items()} if isinstance(value, Mapping) else value


def _artifacts(value: Any) -> Iterator[Artifact]:
    if isinstance(value, Artifact):
        yield value
    elif isinstance(value, Record):
        for _, field in value:
            yield from _artifacts(field)
    elif isinstance(value, tuple):
        for one in value:
            yield from _artifacts(one)


def _is_intact(artifact: Artifact) -> bool:
    try:
        checked(artifact)
    except ArtifactError:
        return False
    return True


@contextmanager
def working_in(run: Run) -> Iterator[None]:
    """Lock the run's directory while the block runs, and clear the verdicts and meters of an earlier run from it.

    Ingest is not covered: its result names the directory, and it writes the same bytes each time.

    Raises:
        SdrmError: another process is at work on the same run.
    """
    with exclusive_lock(run.directory):
        for verdicts in (GATES, ATTEMPTS):
            shutil.rmtree(run.directory / verdicts, ignore_errors=True)
        for meter in stages_directory(run).glob("*.json"):
            if meter.stem != "ingest":  # which named the directory
                meter.unlink()
        yield


@contextmanager
def claimed(out: Path, *, command: str, question: Mapping[str, Any]) -> Iterator[None]:
    """Lock the output directory ``out`` while the block runs; create it if it is missing.

    Args:
        out: the directory, for this command alone.
        command: of ``sdrm``, e.g. ``compare``; names the file that keeps the question.
        question: the settings that decide the results, JSON-compatible.

    Raises:
        ConfigError: it holds something else, or the results of other settings.
        DataError: it cannot be written.
        SdrmError: another process is at work in it.
    """
    about = out / f"{command}.json"
    if out.is_dir() and not about.is_file() and any(path.name != _LOCK for path in out.iterdir()):
        raise ConfigError(f"--out: {out} is not empty and was not made by sdrm {command}. Name a new directory")
    if problem := unwritable(out, name="--out", is_private=True):
        raise DataError(problem)
    with exclusive_lock(out):
        if about.is_file():
            _require_same(parse_json(about)["question"], question, out=out, command=command)
        else:
            write_json(about, {"question": question, "input": None})
        _make_private(out)
        try:
            yield
        except BaseException:
            with suppress(OSError):
                if {path.name for path in out.iterdir()} == {_LOCK, about.name}:
                    about.unlink()  # nothing came of it: a slip in the first call does not cost the directory
            raise


def _make_private(out: Path) -> None:
    """Make a directory that was there before, perhaps for all to read, readable by its owner alone."""
    try:
        out.chmod(PRIVATE)
    except OSError as error:
        what = f"cannot be made readable by you alone: {error.strerror}"
        raise DataError(Problem(f"{out} (--out)", what, "Choose a directory of your own")) from None


@contextmanager
def exclusive_lock(directory: Path) -> Iterator[None]:
    """Lock the directory against other processes of this pipeline while the block runs.

    Raises:
        SdrmError: one is at work there.
    """
    with (directory / _LOCK).open("w") as lock:  # the system lets go of it however the process ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SdrmError(f"another process is at work in {directory}. Wait for it or end it") from None
        yield


def bind_input(out: Path, *, command: str, input_digest: str) -> None:
    """Keep which data the directory's results are about.

    Raises:
        ConfigError: they are about other data.
    """
    about = out / f"{command}.json"
    known = parse_json(about)
    if known["input"] not in (None, input_digest):
        raise ConfigError(
            f"--out: the results in {out} are about other data: the source has changed since, or the users' roles "
            "were given by another SDRM_ROLE_KEY. Name a new directory, or bring the data back"
        )
    write_json(about, {**known, "input": input_digest})


def _require_same(known: Mapping[str, Any], asked: Mapping[str, Any], *, out: Path, command: str) -> None:
    before, now = dict(_flat(known)), dict(_flat(asked))
    names = sorted(name for name in {*before, *now} if before.get(name, _MISSING) != now.get(name, _MISSING))
    if not names:
        return
    shown = ", ".join(f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    raise ConfigError(
        f"--out: {out} was made by sdrm {command} with another configuration: {shown}{more}. "
        "Name a new directory, or set them back"
    )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
