"""What must hold before work begins."""

import json
import shutil
import sys

import pytest

from sdrm_core.config import PathsConfig, RolesConfig
from sdrm_core.errors import ConfigError, DataError
from sdrm_core.storage import write_json
from tasks.preflight import require_space, require_startable, require_writable
from tasks.role_key import KEY_VARIABLE, ROLES_OF_KEY, ROLES_OF_SEED, mark_of
from tasks.working_directory import ROLE_KEY_MARK, run_directory
from tests.conftest import small_night


def test_directories_are_made_and_left_empty(tmp_path):
    require_writable(PathsConfig(releases=tmp_path / "r", work=tmp_path / "w"))
    assert not list((tmp_path / "r").iterdir())


def test_every_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    paths = PathsConfig(releases=tmp_path / "file" / "r", work=tmp_path / "file" / "w")
    with pytest.raises(DataError, match=r"paths\.releases(.|\n)*paths\.work") as caught:
        require_writable(paths)
    assert len(caught.value.problems) == 2


def test_what_lies_where_the_data_sets_releases_belong_is_seen(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "shop").write_text("in the way")
    paths = PathsConfig(releases=tmp_path / "r", work=tmp_path / "w")
    with pytest.raises(DataError, match=r"shop .*cannot be written: File exists"):
        require_writable(paths, dataset="shop")


def test_more_users_than_the_disk_holds_are_refused_with_a_number_that_fits(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(DataError, match="Ask for at most"):
        require_space(tmp_path, users=free, interactions_per_user=50)
    require_space(tmp_path, users=10, interactions_per_user=50)


def test_a_judge_whose_package_is_missing_is_told_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)
    monkeypatch.delitem(sys.modules, "sdrm_core.quality.ials", raising=False)
    with pytest.raises(ConfigError, match=r"utility.judges: 'ials' needs the package implicit.*install"):
        require_startable(small_night(tmp_path, utility={"judges": ["svd", "ials"]}))


def test_all_that_keeps_a_night_from_beginning_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)
    monkeypatch.delitem(sys.modules, "sdrm_core.quality.ials", raising=False)
    monkeypatch.setenv(KEY_VARIABLE, "short")
    config = small_night(tmp_path, utility={"judges": ["svd", "ials"]}, compute={"device": "cuda"})
    config.paths.releases.write_text("in the way")
    with pytest.raises(DataError) as caught:
        require_startable(config)
    told = ("(paths.releases): cannot be written", "compute.device: cuda", "utility.judges: 'ials'", KEY_VARIABLE)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(told)
    assert all(part in line for part, line in zip(told, lines, strict=True))


@pytest.fixture
def keyed(tmp_path):
    """Return a configuration whose latest release has roles by a key, its folder and its manifest."""
    config = small_night(tmp_path)
    release = config.paths.releases / config.dataset / "2026-01-01"
    release.mkdir(parents=True)
    (release.parent / "latest.json").write_text('{"version": "2026-01-01"}')
    manifest = {"dataset": config.dataset, "version": "2026-01-01", "run": "", "model": {"sha256": ""}, "attempts": 1}
    manifest |= {"files": [], "roles": ROLES_OF_KEY, "config": config.public_settings()}
    write_json(release / "manifest.json", manifest)
    return config, release, manifest


def write_journal(config, *lines):
    config.paths.work.mkdir(exist_ok=True)
    (config.paths.work / "runs.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def line_of(release, key):
    return {"dataset": release.parent.name, "release": str(release), "role_key_mark": mark_of(key)}


def test_a_night_that_lost_the_key_of_the_roles_does_not_begin(keyed, monkeypatch):
    config, release, manifest = keyed
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=r"by a secret key, and now there is none\..*Set the same key again"):
        require_startable(config)
    monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef")
    require_startable(config)
    monkeypatch.delenv(KEY_VARIABLE)
    write_json(release / "manifest.json", manifest | {"roles": ROLES_OF_SEED})
    require_startable(config)


@pytest.fixture
def journalled(keyed):
    """Return the configuration; the journal knows the key of its latest release, and keys of others."""
    config, release, _ = keyed
    others = [
        {"dataset": config.dataset, "release": None},
        line_of(release.with_name("2026-01-02"), b"the key of another release"),
        line_of(release.parent.with_name("other") / release.name, b"the key of another data set"),
    ]
    write_journal(config, line_of(release, b"0123456789abcdef"), *others)
    return config


def test_a_night_with_another_key_of_the_roles_does_not_begin(journalled, monkeypatch, caplog):
    monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef")
    require_startable(journalled)
    assert not caplog.text
    monkeypatch.setenv(KEY_VARIABLE, "another key nobody guesses")
    with pytest.raises(ConfigError, match=r"now there is another\..*Set the same key again.*another name \(dataset\)"):
        require_startable(journalled)


def test_releases_that_have_moved_keep_their_key(journalled, monkeypatch):
    paths = journalled.paths
    moved = paths.releases.rename(paths.releases.with_name("moved"))
    config = journalled.model_copy(update={"paths": paths.model_copy(update={"releases": moved})})
    monkeypatch.setenv(KEY_VARIABLE, "another key nobody guesses")
    with pytest.raises(ConfigError, match="now there is another"):
        require_startable(config)


def test_a_release_without_a_line_of_its_own_has_the_key_of_the_last_one_with_a_line(
    journalled, keyed, monkeypatch, caplog
):
    config, release, manifest = keyed
    unjournalled = release.with_name("2026-01-03")  # its run was killed before it could write the line
    write_json(unjournalled / "manifest.json", manifest | {"version": unjournalled.name})
    write_json(release.with_name("latest.json"), {"version": unjournalled.name})
    monkeypatch.setenv(KEY_VARIABLE, "the key of another release")  # the newest line of the data set
    require_startable(config)
    assert not caplog.text
    monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef")
    with pytest.raises(ConfigError, match="now there is another"):
        require_startable(config)


def test_a_release_whose_run_was_killed_before_its_line_has_the_key_that_the_run_left(keyed, monkeypatch, caplog):
    config, release, manifest = keyed
    write_json(release / "manifest.json", manifest | {"run": "a" * 64})
    write_json(run_directory(config.paths.work, "a" * 64) / ROLE_KEY_MARK, mark_of(b"0123456789abcdef"))
    monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef")
    require_startable(config)
    assert not caplog.text
    monkeypatch.setenv(KEY_VARIABLE, "another key nobody guesses")
    with pytest.raises(ConfigError, match="now there is another"):
        require_startable(config)


@pytest.mark.parametrize("mark", [None, mark_of(b"0123456789abcdef")])
def test_where_nothing_tells_which_key_it_was_the_night_says_so(keyed, monkeypatch, caplog, mark):
    config, release, _ = keyed
    elsewhere = release.parents[2] / "others" / config.dataset / "2025-12-31"
    unknown = line_of(release if mark is None else elsewhere, None) | {"role_key_mark": mark}
    monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef")
    for lines in ((), (unknown,)):
        write_journal(config, *lines)
        require_startable(config)
        assert "cannot check whether the role key is still that of the latest release of small" in caplog.text
        caplog.clear()


def test_a_night_with_other_shares_of_the_roles_does_not_begin(journalled, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef")
    shares = RolesConfig(train=0.6, validation=0.1, holdout=0.2, evaluation=0.1)
    with pytest.raises(ConfigError, match=r"roles.train was 0.7 and is 0.6, roles.holdout was 0.1 and is 0.2 since"):
        require_startable(journalled.model_copy(update={"roles": shares}))
