"""What is published is new to everyone, and what a dead run left goes."""

import errno
import json
import os
from contextlib import nullcontext

import pytest

from sdrm_core.config import PipelineConfig
from sdrm_core.records import Counts
from sdrm_core.storage import write_json
from tasks.records import Run, Samples
from tasks.release.publish import give_name, staging_beside
from tasks.sample import synthetic_user_ids

MANIFEST = {"dataset": "demo", "version": "v2", "digest": "0" * 64, "created_at": "today"}


@pytest.fixture
def run(tmp_path):
    config = PipelineConfig.model_validate({"paths": {"releases": tmp_path / "releases"}})
    return Run(config=config, directory=tmp_path / "work", digest="0" * 64)


def test_what_a_dead_run_left_beside_the_releases_is_removed_once_it_is_old(run, tmp_path):
    old, young = (tmp_path / "releases" / "demo" / f".staging-{name}" for name in ("old", "young"))
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    with staging_beside(run) as staging:
        assert (old.exists(), young.exists(), staging.is_dir()) == (False, True, True)
    assert not staging.exists()


def test_what_another_run_takes_away_in_this_moment_is_no_error(run, tmp_path):
    (tmp_path / "releases" / "demo").mkdir(parents=True)
    (tmp_path / "releases" / "demo" / ".staging-gone").symlink_to(tmp_path / "nowhere")
    with staging_beside(run) as staging:
        assert staging.is_dir()


def test_another_model_or_attempt_makes_other_people_with_other_ids(run):
    def ids(**changes):
        counts = Counts.of(users=50, items=9, interactions=200)
        samples = Samples(attempt=0, model="a", shards=(), counts=counts)
        return set(synthetic_user_ids(run, samples.model_copy(update=changes)))

    assert ids() == ids()
    assert len(ids() | ids(model="b") | ids(attempt=1)) == 150


def test_a_release_that_is_the_latest_already_stays_whatever_the_disk_says(run, tmp_path, monkeypatch):
    folder, calls = tmp_path / "releases" / "demo", []

    def sync(path):
        calls.append(path)
        if path == folder and (folder / "latest.json").exists():
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("sdrm_core.storage.sync", sync)
    with staging_beside(run) as staging:
        release = give_name(staging, run, MANIFEST)
    assert folder in calls
    assert release.path.is_dir()
    assert json.loads((folder / "latest.json").read_text())["version"] == "v2"


def test_a_release_is_on_disk_before_it_has_its_name_and_has_its_name_before_it_is_the_latest(
    run, tmp_path, monkeypatch
):
    releases, synced = tmp_path / "releases" / "demo", []

    def sync(path):
        synced.append((path.name[:8], (releases / "v2").exists(), (releases / "latest.json").exists()))

    monkeypatch.setattr("tasks.release.publish.sync", sync)
    with staging_beside(run) as staging:
        give_name(staging, run, MANIFEST)
    assert synced == [(".staging", False, False), ("demo", True, False)]


def test_a_name_that_is_taken_leaves_the_latest_as_it_was(run, tmp_path):
    releases = tmp_path / "releases" / "demo"
    (releases / "v2" / "interactions").mkdir(parents=True)
    (releases / "latest.json").write_text('{"version": "v1"}')
    with pytest.raises(OSError, match="not empty"), staging_beside(run) as staging:
        give_name(staging, run, MANIFEST)
    assert json.loads((releases / "latest.json").read_text()) == {"version": "v1"}
    assert {path.name for path in releases.iterdir()} == {"v2", "latest.json"}


@pytest.mark.parametrize("cannot_point", [False, True])
def test_a_release_that_another_run_published_in_the_same_second_is_shared(run, tmp_path, cannot_point):
    releases = tmp_path / "releases" / "demo"
    write_json(releases / "v2" / "manifest.json", MANIFEST)
    if cannot_point:
        (releases / "latest.json").mkdir()
    with pytest.raises(IsADirectoryError) if cannot_point else nullcontext(), staging_beside(run) as staging:
        write_json(staging / "manifest.json", MANIFEST)
        assert give_name(staging, run, MANIFEST).path == releases / "v2"
    assert {path.name for path in releases.iterdir()} == {"v2", "latest.json"}
    assert (releases / "v2" / "manifest.json").is_file()
    if not cannot_point:
        assert json.loads((releases / "latest.json").read_text())["version"] == "v2"


def test_an_interruption_after_the_release_became_the_latest_is_not_swallowed(run, tmp_path, monkeypatch):
    def sync(path):
        if path.name == "demo" and (path / "latest.json").exists():
            raise KeyboardInterrupt

    monkeypatch.setattr("sdrm_core.storage.sync", sync)
    with pytest.raises(KeyboardInterrupt), staging_beside(run) as staging:
        give_name(staging, run, MANIFEST)
    assert (tmp_path / "releases" / "demo" / "v2").is_dir()  # what is the latest stays


def test_a_release_that_cannot_be_made_the_latest_is_none(run, tmp_path):
    releases = tmp_path / "releases" / "demo"
    (releases / "latest.json").mkdir(parents=True)
    with pytest.raises(IsADirectoryError), staging_beside(run) as staging:
        give_name(staging, run, MANIFEST)
    assert [path.name for path in releases.iterdir()] == ["latest.json"]
