import json

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from sdrm_core.errors import ArtifactError
from sdrm_core.records import Counts
from sdrm_core.storage import parse_json, write_json
from tasks.records import Run, Samples
from tasks.release.history import known_role_key_mark, latest_release, previous_user_ids, require_readable_latest
from tasks.release.interactions import write_interactions
from tests.conftest import small_night


@pytest.fixture
def config(tmp_path):
    """Return the configuration of a data set with two releases, the later one being the latest."""
    config = small_night(tmp_path)
    folder = config.paths.releases / config.dataset
    for version in ("2026-01-01", "2026-01-02"):
        (folder / version).mkdir(parents=True)
        (folder / version / "manifest.json").write_text("{}")
    (folder / "latest.json").write_text('{"version": "2026-01-02"}')
    return config


def test_the_latest_release_is_the_one_named(config):
    assert latest_release(config).name == "2026-01-02"


def test_where_the_latest_is_gone_it_is_the_newest_that_is_left(config):
    older = latest_release(config).with_name("2025-12-31")
    older.mkdir()
    (older / "manifest.json").write_text("{}")
    (latest_release(config) / "manifest.json").unlink()
    assert latest_release(config).name == "2026-01-01"
    (latest_release(config) / "manifest.json").unlink()
    assert latest_release(config) == older
    staging = older.with_name(".staging-1")
    staging.mkdir()
    (staging / "manifest.json").write_text("{}")
    (latest_release(config) / "manifest.json").unlink()
    assert latest_release(config) is None, "what was never published is no release"


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_pointer_says_what_to_do(config, content):
    (latest_release(config).parent / "latest.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"latest\.json does not name a release .* Remove it"):
        latest_release(config)


def test_where_the_pointer_is_gone_it_is_the_newest_release(config):
    latest = latest_release(config)
    (latest.parent / "latest.json").unlink()
    assert latest_release(config) == latest


def test_a_pointer_that_is_no_file_is_told_before_the_work_begins(config):
    pointer = latest_release(config).parent / "latest.json"
    pointer.unlink()
    pointer.mkdir()
    with pytest.raises(ArtifactError, match=r"latest\.json is not a file.*Move it away"):
        require_readable_latest(config)


@pytest.fixture
def published(config):
    """Return the run whose second attempt is the latest release, of the user ids 10, 20 and 30."""
    latest = latest_release(config)
    users = csr_matrix(np.array([[1, 1], [1, 0], [0, 1]], np.float32))
    ids = np.array([10, 20, 30])
    files = write_interactions(latest / "interactions", [users], user_ids=ids, item_ids=pa.array(["a", "b"]))
    facts = {"dataset": config.dataset, "version": latest.name}
    facts |= {"run": "of this night", "model": {"sha256": "of this night"}, "attempts": 2}
    write_json(latest / "manifest.json", facts | {"files": [file.model_dump(mode="json") for file in files]})
    return Run(config=config, directory=config.paths.work, digest="of this night")


def samples(*, attempt, model="of this night"):
    return Samples(attempt=attempt, model=model, shards=(), counts=Counts.of(users=3, items=2, interactions=4))


@pytest.mark.parametrize(
    ("run_digest", "others"),
    [
        ("of another night", {"attempt": 1}),
        ("of this night", {"attempt": 0}),
        ("of this night", {"attempt": 2}),
        ("of this night", {"attempt": 1, "model": "another"}),
    ],
)
def test_the_ids_of_the_latest_release_are_those_that_other_users_must_not_have(published, run_digest, others):
    run = published.model_copy(update={"digest": run_digest})
    assert previous_user_ids(run, samples(**others)).tolist() == [10, 20, 30]


def test_the_very_users_of_the_latest_release_may_have_their_ids_again(published):
    assert previous_user_ids(published, samples(attempt=1)) is None


@pytest.mark.parametrize("lost", ["dataset", "version", "run", "model", "attempts", "files"])
def test_a_latest_release_that_does_not_say_whose_it_is_is_told_before_the_work_begins(published, lost):
    require_readable_latest(published.config)
    path = latest_release(published.config) / "manifest.json"
    write_json(path, {key: value for key, value in parse_json(path).items() if key != lost})
    with pytest.raises(ArtifactError, match=rf"is not as it was published \('{lost}'\)"):
        require_readable_latest(published.config)


@pytest.mark.parametrize("damage", [{"sha256": None}, {"path": 3}])
def test_a_manifest_whose_files_were_changed_is_told_before_the_work_begins(published, damage):
    path = latest_release(published.config) / "manifest.json"
    manifest = parse_json(path)
    write_json(path, manifest | {"files": [manifest["files"][0] | damage]})
    with pytest.raises(ArtifactError, match=r"is not as it was published .* Move it away"):
        require_readable_latest(published.config)


@pytest.mark.parametrize("lines", [
    '{{"release": "/some\n{entry}\n{half}',
    '{entry}\n{{}}\n[1]\n3\nnull\n{{"release": "/somewhere/else"}}\n',
    "\udcff\n{entry}\n",
])  # fmt: skip
def test_half_a_line_in_the_journal_or_one_that_is_no_entry_hides_no_other(published, lines):
    release = latest_release(published.config)
    journal = published.config.paths.work / "runs.jsonl"
    journal.parent.mkdir()
    entry = json.dumps({"dataset": "small", "release": f"/where/it/was/{release.name}", "role_key_mark": "a"})
    journal.write_text(lines.format(entry=entry, half=entry[:12]), errors="surrogateescape")
    manifest = parse_json(release / "manifest.json")
    assert known_role_key_mark(published.config, manifest) == "a"


def test_before_the_first_release_there_are_no_ids_to_avoid(tmp_path):
    run = Run(config=small_night(tmp_path), directory=tmp_path, digest="of this night")
    assert previous_user_ids(run, samples(attempt=0)) is None
