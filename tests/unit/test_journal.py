import json

import pytest

from flows.journal import journal
from sdrm_core.errors import DataError, GateFailed
from tests.conftest import small_night


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (GateFailed("no", gate="matrix"), "refused by gate matrix"),
        (DataError("no such file"), "failed: DataError"),
        (ZeroDivisionError(), "crashed: ZeroDivisionError"),
    ],
)
def test_a_line_says_how_it_ended(tmp_path, error, verdict):
    with pytest.raises(type(error)), journal(small_night(tmp_path)):
        raise error
    assert json.loads((tmp_path / "work" / "runs.jsonl").read_text())["verdict"] == verdict
