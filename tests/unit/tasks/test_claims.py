"""A directory of results belongs to one question, one data set and, while it works, one process."""

import os
import shutil
from functools import partial
from pathlib import Path

import pytest

from sdrm_core.config import PathsConfig, PipelineConfig
from sdrm_core.errors import ArtifactError, ConfigError, DataError, SdrmError
from sdrm_core.storage import temporary_beside, write_json, write_text
from tasks.claims import bind_input, working_in
from tasks.claims import claimed as claimed_apart_from
from tasks.records import Run

QUESTION = {"vae": {"beta": 1.0}, "seed": 0}

claimed = partial(claimed_apart_from, paths=PathsConfig(releases=Path("/elsewhere"), cache=Path("/elsewhere")))


def test_the_same_question_may_be_asked_again(tmp_path):
    for _ in range(2):
        with claimed(tmp_path / "out", command="compare", question=QUESTION):
            pass
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


def bind(out, *, digest="a", command="compare"):
    """Do as a command that has read its data: it has a copy of them, and results follow."""
    run = Run(config=PipelineConfig(), directory=out / "input" / digest, digest=digest)
    write_text(run.directory / "ingest" / "log", "real people")
    bind_input(out, command=command, input_digest=digest, run=run)


def test_another_question_is_refused_and_says_what_differs(tmp_path):
    with claimed(tmp_path, command="compare", question=QUESTION):
        bind(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    other = {"vae": {"beta": 0.5}, "seed": 0}
    with (
        pytest.raises(ConfigError, match=r"another configuration: vae.beta was 1.0 and is 0.5. Name a new directory"),
        claimed(tmp_path, command="compare", question=other),
    ):
        pass
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before


def test_a_search_of_another_version_is_refused_as_such(tmp_path):
    with claimed(tmp_path, command="tune", question={**QUESTION, "code": "0"}):
        bind(tmp_path, command="tune")
    with (
        pytest.raises(ConfigError, match=r"another version of the program.*new directory, or go back to that version"),
        claimed(tmp_path, command="tune", question={**QUESTION, "code": "1", "new": "setting"}),
    ):
        pass


def test_a_first_call_that_came_to_nothing_costs_no_directory_and_leaves_no_copy_of_the_log(tmp_path):
    def mistaken():
        write_text(tmp_path / "input" / "0" / "ingest" / "log", "real people")
        raise DataError(())

    with pytest.raises(DataError), claimed(tmp_path, command="compare", question={"roles": "too few"}):
        mistaken()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    with claimed(tmp_path, command="compare", question=QUESTION):
        bind(tmp_path)
    with pytest.raises(DataError), claimed(tmp_path, command="compare", question=QUESTION):
        mistaken()
    with pytest.raises(ConfigError, match="another configuration"), claimed(tmp_path, command="compare", question={}):
        pass


def test_nor_does_one_that_was_killed(tmp_path):
    write_json(tmp_path / "compare.json", {"question": {"roles": "too few"}, "input": None})
    write_text(tmp_path / "input" / "0" / "ingest" / "log", "real people")
    with claimed(tmp_path, command="compare", question=QUESTION):
        assert {path.name for path in tmp_path.iterdir()} == {".lock", "compare.json"}


def test_an_error_is_told_even_if_the_directory_is_gone(tmp_path):
    out = tmp_path / "out"

    def fail():
        shutil.rmtree(out)
        raise RuntimeError("the real one")

    with pytest.raises(RuntimeError, match="the real one"), claimed(out, command="compare", question=QUESTION):
        fail()


def test_a_directory_that_was_there_is_readable_by_its_owner_alone_from_then_on(tmp_path):
    tmp_path.chmod(0o755)
    with claimed(tmp_path, command="compare", question=QUESTION):
        assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_directory_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"), claimed(tmp_path, command="tune", question=QUESTION):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(DataError, match="--out"), claimed(tmp_path / "out", command="tune", question=QUESTION):
        pass


def test_two_at_once_are_one_too_many(tmp_path):
    with (
        claimed(tmp_path, command="compare", question=QUESTION),
        pytest.raises(SdrmError, match="another process is at work"),
        claimed(tmp_path, command="compare", question=QUESTION),
    ):
        pass


def test_other_data_are_refused_and_not_kept(tmp_path):
    with claimed(tmp_path, command="compare", question=QUESTION):
        bind(tmp_path)
        bind(tmp_path)
        with pytest.raises(ConfigError, match="other data"):
            bind(tmp_path, digest="b")
    assert [path.name for path in (tmp_path / "input").iterdir()] == ["a"]


def test_a_run_starts_without_the_verdicts_of_an_earlier_one_and_alone(tmp_path):
    run = Run(config=PipelineConfig(), directory=tmp_path, digest="0")
    for name in ("gates/release", "attempts/0-release", "stages/publish", "stages/ingest", "finished/train"):
        write_json(tmp_path / f"{name}.json", {})
    with working_in(run), pytest.raises(SdrmError, match="another process is at work"), working_in(run):
        pass
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json")} == {
        "stages/ingest.json",
        "finished/train.json",
    }


def test_what_killed_processes_left_half_written_is_removed(tmp_path):
    work, out, cache = tmp_path / "work" / "0123", tmp_path / "out", tmp_path / "cache"
    paths = PathsConfig(releases=tmp_path / "releases", cache=cache)
    run = Run(config=PipelineConfig(paths=paths), directory=work, digest="0")
    with claimed_apart_from(out, command="tune", question=QUESTION, paths=paths):
        pass
    for path in (work / "privacy.html", work / "matrix" / "m.npz", out / "input" / "0123" / "ingest" / "log.parquet"):
        write_text(temporary_beside(path), "real people")
    old, young = (temporary_beside(cache / "0123" / "log.csv") for _ in range(2))
    for path in (old.with_suffix(".zip"), old, young):
        write_text(path, "half")
    for path in (old.with_suffix(".zip"), old):
        os.utime(path, (0, 0))
    with working_in(run):
        assert {path.name for path in work.rglob("*")} == {".lock", "matrix"}
        assert list(cache.rglob("*.*")) == [young]
    os.utime(young, (0, 0))
    with claimed_apart_from(out, command="tune", question=QUESTION, paths=paths):
        assert {path.name for path in out.rglob("*.*")} == {".lock", "tune.json"}
        assert not list(cache.rglob("*.*"))


@pytest.mark.parametrize("place", [".", "shop", "shop/comparison"])
def test_what_will_hold_real_ids_may_not_lie_among_the_releases(tmp_path, place):
    out, paths = tmp_path / "releases" / place, PathsConfig(releases=tmp_path / "releases")
    with (
        pytest.raises(ConfigError, match="which is shared"),
        claimed_apart_from(out, command="compare", question=QUESTION, paths=paths),
    ):
        pass
    assert not (tmp_path / "releases").exists()


@pytest.mark.parametrize("content", [[], {"question": 3, "input": None}, {"question": QUESTION}])
def test_a_question_that_was_changed_is_told(tmp_path, content):
    write_json(tmp_path / "compare.json", content)
    with (
        pytest.raises(ArtifactError, match=r"compare.json is not as it was written"),
        claimed(tmp_path, command="compare", question=QUESTION),
    ):
        pass
