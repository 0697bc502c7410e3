"""Reuse finished results: a result is stored under a digest of the settings, the code and the inputs it came from."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache, wraps
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, get_type_hints

import sdrm_core
from sdrm_core.errors import ArtifactError
from sdrm_core.records import Artifact, Record
from sdrm_core.storage import (
    checked,
    digest_of,
    parse_json,
    private_directory,
    read_sealed,
    write_json,
    write_sealed,
)
from tasks.records import Run
from tasks.stage import LOG
from tasks.working_directory import stage_record

UNDERLYING = (
    "sdrm_core/closed_form.py",
    "sdrm_core/data",
    "sdrm_core/loops.py",
    "sdrm_core/randomness.py",
    "sdrm_core/threads.py",
)
"""Modules that all other packages of ``sdrm_core`` use."""

DAMAGE = (ArtifactError, AttributeError, KeyError, TypeError, ValueError)
"""Errors that reading a stored result raises if the result or one of its files was changed or damaged."""

P = ParamSpec("P")
R = TypeVar("R", bound=Record)

# Another version of these libraries may change the last bits of a result.
_COMPUTING = ("implicit", "numba", "numpy", "scikit-learn", "scipy", "torch")


@lru_cache
def code_digest(*rooms: str) -> str:
    """Return the digest of the source code of these parts of the product and of the versions of numerical libraries.

    A stored result is reused only if the digest is the same, because other code may give another result. The version
    number of the package is not enough: it does not change with every change of the code.

    rooms: modules (``….py``) or packages, e.g. ``sdrm_core/quality``.
    """
    root = Path(sdrm_core.__file__).parents[1]
    files = [
        path for room in rooms for path in ([root / room] if room.endswith(".py") else (root / room).rglob("*.py"))
    ]
    return _digest_of_files(files, root=root)


def finished_once(stage: Callable[P, R]) -> Callable[P, R]:
    """Decorate a stage so that it reuses the result of an earlier run in the same directory.

    The result is reused if the settings, the code and the inputs of the stage are the same and the files of the result
    are unchanged. The stage's meter file is then marked ``cached``.

    Args:
        stage: a function that returns a record. Its parameter ``run`` gives the directory; the other parameters are
            records or JSON-compatible values.
    """
    signature, kind, name = inspect.signature(stage), get_type_hints(stage)["return"], stage.__name__
    code = _whole_code()  # read at import: the files may be replaced before the stage runs

    @wraps(stage)
    def resumed(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs).arguments
        run: Run = given["run"]
        meter = stage_record(run.directory, name, attempt=_attempt_of(given))
        # Without ``run``: it also has settings that change no result, such as where to publish.
        others = {parameter: value for parameter, value in given.items() if parameter != "run"}
        question = digest_of([code, run.digest, str(run.directory), _plain(others)])
        path = private_directory(run.directory / "finished") / f"{name}-{question[:16]}.json"
        if kept := _kept(path, kind):
            LOG.info("%s was finished by an earlier run", name)
            result: R = kept[0]
            write_json(meter, kept[1] | {"cached": True})
            return result
        result = stage(*args, **kwargs)
        write_sealed(path, {"result": _plain(result), "meter": parse_json(meter)})
        return result

    return resumed


def _attempt_of(given: Mapping[str, Any]) -> int:
    """Return the attempt that a stage with these arguments works for; the second model is made for the second one."""
    if "samples" in given:
        return int(given["samples"].attempt)
    return int(given.get("attempt", given.get("refused") is not None))


def _kept(path: Path, kind: type[R]) -> tuple[R, dict[str, Any]] | None:
    """Return the result and the meter of a finished stage; None if there is none or it is damaged."""
    if not path.is_file():
        return None
    try:
        kept = read_sealed(path)
        result = kind.model_validate(kept["result"])
        for artifact in _artifacts(result):
            checked(artifact, remedy="")
        return result, dict(kept["meter"])
    except DAMAGE as error:
        LOG.warning("%s is damaged (%s); the stage is run again", path, error)
        return None


@lru_cache
def _whole_code() -> str:
    root = Path(sdrm_core.__file__).parents[1]
    files = [path for package in ("sdrm_core", "tasks") for path in (root / package).rglob("*.py")]
    return _digest_of_files(files, root=root)


def _digest_of_files(files: Iterable[Path], *, root: Path) -> str:
    texts = [(str(path.relative_to(root)), path.read_text(encoding="utf-8")) for path in sorted(files)]
    return digest_of([texts, [_version(library) for library in _COMPUTING]])


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
