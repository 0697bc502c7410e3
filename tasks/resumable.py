"""Finished work is reused: a result is kept under the settings, the code and the inputs that it came from."""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache, wraps
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, get_type_hints

import sdrm_core
from sdrm_core.errors import ArtifactError
from sdrm_core.records import Artifact, Record
from sdrm_core.storage import checked, parse_json, private_directory, write_json
from tasks.records import Run
from tasks.stage import LOG, stages_directory

UNDERLYING = ("closed_form.py", "data", "loops.py", "randomness.py", "threads.py")
"""Modules of the core that all rooms stand on."""

DAMAGE = (ArtifactError, AttributeError, KeyError, TypeError, ValueError)
"""The errors by which reading a kept result shows that it, or a file of it, is not what was written."""

P = ParamSpec("P")
R = TypeVar("R", bound=Record)

_COMPUTING = ("implicit", "numba", "numpy", "scikit-learn", "scipy", "torch")  # other versions, other last bits


def digest_of(*parts: Any) -> str:
    """Return the hexadecimal SHA-256 of JSON-compatible parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@lru_cache
def code_digest(*rooms: str) -> str:
    """Return the digest of these modules and packages of ``sdrm_core``, and of the libraries they compute with.

    A kept result is taken again only under the same digest: other code may give another result. The version number of
    the package would not do, as it stays the same from one change of the code to the next.
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
    code = _whole_code()  # now, when this code is imported: its files may have been replaced when the stage runs

    @wraps(stage)
    def resumed(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs).arguments
        run: Run = given["run"]
        meter = stages_directory(run) / f"{name}.json"
        # Not the run itself: it also says where to publish and how to cut the work, which change no result.
        others = {parameter: value for parameter, value in given.items() if parameter != "run"}
        question = digest_of(code, run.digest, str(run.directory), _plain(others))
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
