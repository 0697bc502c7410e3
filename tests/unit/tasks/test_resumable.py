"""A directory of results belongs to one question, one data set and, while it works, one process."""

import shutil
from importlib.metadata import version

import pytest

from sdrm_core.config import PipelineConfig
from sdrm_core.errors import ConfigError, DataError, SdrmError
from sdrm_core.records import Artifact, Run, TrainedVae
from sdrm_core.storage import parse_json, write_json
from tasks import resumable
from tasks.resumable import bind_input, claimed, code_digest, finished_once, working_in
from tasks.stage import Meter, stages_directory

QUESTION = {"vae": {"beta": 1.0}, "seed": 0}


def test_the_same_question_may_be_asked_again(tmp_path):
    for _ in range(2):
        with claimed(tmp_path / "out", command="compare", question=QUESTION):
            pass
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


def test_another_question_is_refused_and_says_what_differs(tmp_path):
    with claimed(tmp_path, command="compare", question=QUESTION):
        pass
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    other = {"vae": {"beta": 0.5}, "seed": 0}
    with (
        pytest.raises(ConfigError, match=r"another configuration: vae.beta was 1.0 and is 0.5. Name a new directory"),
        claimed(tmp_path, command="compare", question=other),
    ):
        pass
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_first_call_that_came_to_nothing_does_not_cost_the_directory(tmp_path):
    with pytest.raises(DataError), claimed(tmp_path, command="compare", question={"source": "typo"}):
        raise DataError(())
    with claimed(tmp_path, command="compare", question=QUESTION):
        (tmp_path / "input").mkdir()
    with pytest.raises(DataError), claimed(tmp_path, command="compare", question=QUESTION):
        raise DataError(())
    with pytest.raises(ConfigError, match="another configuration"), claimed(tmp_path, command="compare", question={}):
        pass


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


def test_other_data_are_refused(tmp_path):
    with claimed(tmp_path, command="compare", question=QUESTION):
        bind_input(tmp_path, command="compare", input_digest="a")
        bind_input(tmp_path, command="compare", input_digest="a")
        with pytest.raises(ConfigError, match="other data"):
            bind_input(tmp_path, command="compare", input_digest="b")


def test_the_digest_of_the_code_is_of_what_it_names():
    assert code_digest("quality") == code_digest("quality") != code_digest("privacy")
    assert code_digest("model", "randomness.py") != code_digest("model")


def test_another_version_of_a_library_is_other_code(monkeypatch):
    before = code_digest.__wrapped__("quality")
    assert code_digest.__wrapped__("quality") == before
    monkeypatch.setattr(resumable, "version", lambda library: "2.0" if library == "implicit" else version(library))
    assert code_digest.__wrapped__("quality") != before


class TestFinishedOnce:
    @pytest.fixture
    def run(self, tmp_path):
        return Run(config=PipelineConfig(), directory=tmp_path, digest="0")

    @pytest.fixture
    def train(self, run):
        """Return a stage that counts how often it really worked."""

        @finished_once
        def train(run: Run, before: Artifact, *, epochs: int = 3) -> TrainedVae:
            with Meter("train") as meter:
                train.worked += 1
                weights = write_json(run.directory / "weights.json", [before.sha256, epochs])
            meter.save(run)
            return TrainedVae(weights=weights, curve=before, epochs=epochs)

        train.worked = 0
        return train

    @pytest.fixture
    def before(self, tmp_path):
        return write_json(tmp_path / "before.json", 1)

    def test_what_is_finished_is_not_done_again_and_the_meter_says_so(self, run, train, before):
        first, again = (train(run, before=before) for _ in range(2))
        assert (first, train.worked) == (again, 1)
        assert parse_json(stages_directory(run) / "train.json")["cached"] is True

    @pytest.mark.parametrize("damaged", ["{", "[]", "{}", '{"result": {}, "meter": {}}'])
    def test_a_damaged_record_of_what_is_finished_is_made_again(self, run, train, before, damaged):
        first = train(run, before=before)
        (record,) = (run.directory / "finished").iterdir()
        record.write_text(damaged)
        assert (train(run, before=before), train.worked) == (first, 2)
        assert (train(run, before=before), train.worked) == (first, 2)

    def test_other_input_is_another_question(self, run, train, before, tmp_path):
        train(run, before)
        train(run, before, epochs=4)
        train(run, write_json(tmp_path / "before.json", 2))
        assert train.worked == 3

    def test_where_it_publishes_and_with_how_much_memory_is_no_other_question(self, run, train, before):
        elsewhere = {"paths": {"releases": "elsewhere"}, "compute": {"shard_users": 7}}
        moved = run.model_copy(update={"config": PipelineConfig.model_validate(elsewhere)})
        assert train(run, before) == train(moved, before)
        assert train.worked == 1

    def test_a_file_that_is_not_what_was_written_is_written_anew(self, run, train, before):
        trained = train(run, before)
        trained.weights.path.write_text("damaged")
        assert train(run, before) == trained
        trained.weights.path.unlink()
        assert train(run, before) == trained
        assert train.worked == 3

    def test_a_run_starts_without_the_verdicts_of_an_earlier_one_and_alone(self, run, tmp_path):
        for name in ("gates/release", "attempts/0-release", "stages/publish", "stages/ingest", "finished/train"):
            write_json(tmp_path / f"{name}.json", {})
        with working_in(run), pytest.raises(SdrmError, match="another process is at work"), working_in(run):
            pass
        assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json")} == {
            "stages/ingest.json",
            "finished/train.json",
        }
