"""The dependency rule is the architecture: flows → tasks → sdrm_core, and what each room may know."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for room in ("flows", "tasks", "sdrm_core") for path in (ROOT / room).rglob("*.py"))
ORCHESTRATION = {"prefect", "great_expectations", "typer"}
FORBIDDEN = {
    "sdrm_core": {"flows", "tasks", *ORCHESTRATION},
    "tasks": {"flows", "typer"},
    "flows": {"torch", "pandas", "great_expectations", "numpy", "scipy", "sdrm_core.data", "sdrm_core.model"},
    "sdrm_core/data": {"sdrm_core.model", "sdrm_core.quality", "sdrm_core.privacy", "torch"},
    "sdrm_core/model": {"sdrm_core.quality", "sdrm_core.privacy"},
    "sdrm_core/quality": {"sdrm_core.model", "sdrm_core.privacy"},
    "sdrm_core/privacy": {"sdrm_core.model", "sdrm_core.quality"},
}


def imported(path: Path) -> set[str]:
    """Return every dotted name a module imports, at the top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_room_may_know(path):
    relative = path.relative_to(ROOT).as_posix()
    banned = {name for room, names in FORBIDDEN.items() if relative.startswith(f"{room}/") for name in names}
    found = {name for name in imported(path) for package in banned if is_within(name, package)}
    assert not found


def test_only_the_gates_know_great_expectations():
    knowing = {path.name for path in MODULES if any(is_within(name, "great_expectations") for name in imported(path))}
    assert knowing == {"gates.py"}


def test_nothing_imports_pickle():
    unpickling = {"pickle", "cloudpickle", "joblib", "dill", "shelve"}
    assert not [path for path in MODULES for name in imported(path) if name.split(".")[0] in unpickling]
