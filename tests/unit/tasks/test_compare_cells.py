"""A cell that was changed, and not only one that was cut off, is computed again."""

from pathlib import Path

import pytest

import sdrm_core
from sdrm_core.storage import parse_json, write_json
from tasks.compare import cells
from tasks.compare.cells import Cell
from tasks.resumable import code_digest
from tests.unit.test_layers import imported_by


@pytest.fixture
def cell(tmp_path):
    cell = Cell(tmp_path / "arm", "privacy-seed-0", "d" * 64)
    cell.write({"verdict": "FAIL"})
    return cell


def test_a_finished_cell_is_read_as_it_was_written(cell):
    cell.discard_if_damaged()
    assert cell.is_finished
    assert cell.read() == {"verdict": "FAIL"}


@pytest.mark.parametrize("change", [
    lambda stored: stored | {"verdict": "PASS"},
    lambda stored: {"verdict": stored["verdict"]},
    lambda _: {},
    lambda _: [],
])  # fmt: skip
def test_a_changed_cell_is_discarded(cell, change):
    write_json(cell.report, change(parse_json(cell.report)))
    cell.discard_if_damaged()
    assert not cell.is_finished


@pytest.mark.parametrize("rooms", [cells._GENERATING, cells._JUDGING, cells._PRIVACY])
def test_a_cell_is_of_the_code_that_was_there_at_the_start(rooms):
    before = code_digest.cache_info().misses
    code_digest(*rooms)
    assert code_digest.cache_info().misses == before


# What is told, passed on and written, not what is computed.
NO_RESULT = {f"sdrm_core/{name}.py" for name in ("errors", "records", "storage")}


def reached_from(*names):
    """Return the modules of ``sdrm_core`` that these import, directly or not, as paths below it."""
    root, found, waiting = Path(sdrm_core.__file__).parent, set(), list(names)
    while waiting:
        path = root / Path(*waiting.pop().split(".")[1:])
        for module in (path.with_suffix(".py"), path / "__init__.py"):
            if module.is_file() and module not in found:
                found.add(module)
                waiting += [name for name in imported_by(module) if name.split(".")[0] == "sdrm_core"]
    paths = {module for module in found if module.parent != root or module.stem != "__init__"}
    return {str(module.relative_to(root.parent)) for module in paths}


@pytest.mark.parametrize(("rooms", "entrances"), [
    (cells._GENERATING, ["sdrm_core.arms.registry"]),
    (cells._JUDGING, ["sdrm_core.quality.utility", "sdrm_core.quality.fidelity", "sdrm_core.quality.augmentation"]),
    (cells._PRIVACY, ["sdrm_core.privacy.judge"]),
])  # fmt: skip
def test_the_digest_of_a_result_covers_the_code_that_computes_it(rooms, entrances):
    reached = reached_from(*entrances)
    assert len(reached) > 10
    configuration = {path for path in reached if path.startswith("sdrm_core/config/")}  # its values are in the digest
    covered = {module for module in reached if module in rooms or module.rsplit("/", 1)[0] in rooms}
    assert reached - covered - configuration <= NO_RESULT
