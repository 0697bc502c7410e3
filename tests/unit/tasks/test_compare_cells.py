"""A cell that was changed, and not only one that was cut off, is computed again."""

import pytest

from sdrm_core.storage import parse_json, write_json
from tasks.compare.cells import Cell


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
    lambda stored: stored | {"content": {"verdict": "PASS"}},
    lambda stored: stored["content"],
    lambda _: {},
    lambda _: [],
])  # fmt: skip
def test_a_changed_cell_is_discarded(cell, change):
    write_json(cell.report, change(parse_json(cell.report)))
    cell.discard_if_damaged()
    assert not cell.is_finished
