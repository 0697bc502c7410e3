import errno
import json
from datetime import UTC, datetime

import pytest

from flows.journal import journal
from sdrm_core.errors import DataError, GateFailed
from sdrm_core.storage import write_json
from tasks.records import Run
from tests.conftest import small_night


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (GateFailed("no", gate="matrix"), "refused by gate matrix"),
        (DataError("no such file"), "failed: DataError"),
        (ZeroDivisionError(), "crashed: ZeroDivisionError"),
        (OSError(errno.ENOSPC, "writing failed", "work/1"), "crashed: OSError, No space left on device"),
        (OSError("a library's own"), "crashed: OSError"),
    ],
)
def test_a_line_says_how_it_ended(tmp_path, error, verdict):
    with pytest.raises(type(error)), journal(small_night(tmp_path)):
        raise error
    assert json.loads((tmp_path / "work" / "runs.jsonl").read_text())["verdict"] == verdict


def test_a_run_that_is_interrupted_when_its_release_is_the_latest_has_a_release(tmp_path):
    config = small_night(tmp_path)
    run, release = Run(config=config, directory=tmp_path, digest="d"), config.paths.releases / "small" / "v1"

    def publish(entry, created):
        entry.run = run
        write_json(release / "manifest.json", {"run": "d", "created_at": created.isoformat(timespec="seconds")})
        write_json(release.parent / "latest.json", {"version": "v1"})
        raise KeyboardInterrupt

    for created, expected in ((datetime(2020, 1, 1, tzinfo=UTC), None), (None, str(release))):
        with pytest.raises(KeyboardInterrupt), journal(config) as entry:
            publish(entry, created or datetime.now(UTC))
        line = json.loads((tmp_path / "work" / "runs.jsonl").read_text().splitlines()[-1])
        assert (line["verdict"], line["release"]) == ("interrupted", expected)


def test_half_a_line_of_a_run_that_died_spoils_no_other(tmp_path):
    config = small_night(tmp_path)
    with journal(config):
        pass
    path = tmp_path / "work" / "runs.jsonl"
    path.write_text(path.read_text() + '{"half')
    for _ in range(2):
        with journal(config):
            pass
    whole, half, *later = path.read_text().splitlines()
    assert half == '{"half'
    assert [json.loads(line)["verdict"] for line in (whole, *later)] == ["published"] * 3


def test_others_cannot_read_it_though_its_directory_was_there_before(tmp_path):
    (tmp_path / "work").mkdir(mode=0o755)
    with journal(small_night(tmp_path)):
        pass
    assert (tmp_path / "work" / "runs.jsonl").stat().st_mode & 0o077 == 0
