"""The dependency rule is the architecture: flows → tasks → sdrm_core, and what each room may know."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for room in ("flows", "tasks", "sdrm_core") for path in (ROOT / room).rglob("*.py"))
# The core's own modules (configuration, errors, records, files, random numbers) are a room that every other may know.
GROUND = {f"sdrm_core.{path.stem}" for path in (ROOT / "sdrm_core").glob("*.py")} - {"sdrm_core.__init__"}
GROUND.add("sdrm_core.config")
ARRAYS = {"numpy", "scipy"}
STAGES = {"tasks", "sdrm_core", *ARRAYS, "pyarrow"}
MAY_KNOW = {
    "flows": {
        *("flows", "tasks"),
        *(f"sdrm_core.{name}" for name in ("config", "errors", "loops", "storage")),
        *("prefect", "typer", "rich", "httpx", "pydantic", "uvicorn"),
    },
    "tasks": {*STAGES, "prefect", "httpx", "psutil"},
    "tasks/gates": {*STAGES, "pandas", "great_expectations"},
    "tasks/release": {*STAGES, "jinja2", "matplotlib"},
    "tasks/compare": {*STAGES, "pandas", "matplotlib"},
    "tasks/tune": {*STAGES, "pandas", "optuna", "yaml"},
    "sdrm_core": {*GROUND, *ARRAYS, "torch", "numba", "pydantic", "threadpoolctl"},
    "sdrm_core/config": {"sdrm_core.config", "sdrm_core.errors", "pydantic", "yaml"},
    "sdrm_core/data": {*GROUND, "sdrm_core.data", *ARRAYS, "pyarrow", "httpx"},
    "sdrm_core/model": {
        *(*GROUND, "sdrm_core.data", "sdrm_core.model"),
        *(*ARRAYS, "torch", "pyarrow", "pydantic", "safetensors"),
    },
    "sdrm_core/quality": {
        *(*GROUND, "sdrm_core.data", "sdrm_core.quality"),
        *(*ARRAYS, "torch", "sklearn", "implicit", "threadpoolctl"),
    },
    "sdrm_core/privacy": {*GROUND, "sdrm_core.data", "sdrm_core.privacy", *ARRAYS, "torch", "pydantic"},
    "sdrm_core/arms": {
        *(*GROUND, *(f"sdrm_core.{room}" for room in ("data", "model", "quality", "privacy", "arms"))),
        *(*ARRAYS, "torch", "pyarrow"),
    },
}


def imported(source: str) -> set[str]:
    """Return every dotted name a module imports, at the top or inside a function; a relative one begins with a dot."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


def imported_by(path: Path) -> set[str]:
    return imported(path.read_text(encoding="utf-8"))


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def not_to_be_known(room: str, names: set[str]) -> set[str]:
    """Return the names that are neither Python's own nor what the modules of a folder may know."""
    others = {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}
    return {name for name in others if not any(is_within(name, package) for package in MAY_KNOW[room])}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_room_may_know(path):
    room = path.parent.relative_to(ROOT).as_posix()
    assert not not_to_be_known(room, imported_by(path))


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("sdrm_core/privacy", "from sdrm_core.arms.registry import ARMS"),
        ("sdrm_core/model", "from sdrm_core.privacy.judge import judge_privacy"),
        ("sdrm_core/data", "import torch"),
        ("sdrm_core/data", "from .. import model"),
        ("sdrm_core", "from sdrm_core.model.sdrm import SdrmModel"),
        ("sdrm_core", "import tasks.stage"),
        ("tasks", "import typer"),
        ("flows", "from sdrm_core.privacy.verdicts import Verdict"),
        ("flows", "def late():\n    import sdrm_core.quality.utility"),
        ("flows", "from sdrm_core import model"),
    ],
)
def test_what_a_room_may_not_know_is_found(room, source):
    assert not_to_be_known(room, imported(source))


def test_only_the_gates_know_great_expectations():
    knowing = {
        path.name for path in MODULES if any(is_within(name, "great_expectations") for name in imported_by(path))
    }
    assert knowing == {"evaluation.py"}


def test_nothing_imports_pickle():
    unpickling = {"pickle", "cloudpickle", "joblib", "dill", "shelve"}
    assert not [path for path in MODULES for name in imported_by(path) if name.split(".")[0] in unpickling]
