"""A stage that an earlier run finished is not run again, unless anything it depends on has changed."""

from importlib.metadata import version

import pytest

import sdrm_core
from sdrm_core.config import PipelineConfig
from sdrm_core.records import Artifact, Counts
from sdrm_core.storage import parse_json, write_json, write_sealed
from tasks import resumable
from tasks.records import Run, Samples, TrainedVae
from tasks.resumable import code_digest, finished_once
from tasks.stage import Meter
from tasks.working_directory import stages_directory


def test_the_digest_of_the_code_is_of_what_it_names():
    assert code_digest("sdrm_core/quality") == code_digest("sdrm_core/quality") != code_digest("sdrm_core/privacy")
    assert code_digest("sdrm_core/model", "tasks/measure.py") != code_digest("sdrm_core/model")


def test_another_version_of_a_library_is_other_code(monkeypatch):
    before = code_digest.__wrapped__("sdrm_core/quality")
    assert code_digest.__wrapped__("sdrm_core/quality") == before
    monkeypatch.setattr(resumable, "version", lambda library: "2.0" if library == "implicit" else version(library))
    assert code_digest.__wrapped__("sdrm_core/quality") != before


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
        assert parse_json(stages_directory(run.directory) / "train.json")["cached"] is True

    def test_each_attempt_has_a_meter_of_its_own_also_if_it_is_not_made_again(self, run, before):
        @finished_once
        def sample(run: Run, *, attempt: int) -> TrainedVae:
            with Meter("sample", attempt=attempt) as meter:
                weights = write_json(run.directory / f"weights-{attempt}.json", attempt)
            meter.save(run)
            return TrainedVae(weights=weights, curve=before, epochs=attempt)

        for _ in range(2):
            assert [sample(run, attempt=attempt).epochs for attempt in range(2)] == [0, 1]
        meters = {path.stem: parse_json(path)["cached"] for path in stages_directory(run.directory).iterdir()}
        assert meters == {"sample": True, "sample_second_attempt": True}

    @pytest.mark.parametrize("damaged", ["{", "[]", "{}", '{"result": {}, "meter": {}}'])
    def test_a_damaged_record_of_what_is_finished_is_made_again(self, run, train, before, damaged):
        first = train(run, before=before)
        (record,) = (run.directory / "finished").iterdir()
        record.write_text(damaged)
        assert (train(run, before=before), train.worked) == (first, 2)
        assert (train(run, before=before), train.worked) == (first, 2)

    @pytest.mark.parametrize("meter", [{}, {"meter": None}, {"meter": [1]}])
    def test_a_record_without_its_meter_is_made_again(self, run, train, before, meter):
        first = train(run, before=before)
        (record,) = (run.directory / "finished").iterdir()
        write_sealed(record, {"result": parse_json(record)["result"], **meter})
        assert (train(run, before=before), train.worked) == (first, 2)

    def test_a_changed_record_is_not_believed(self, run, train, before):
        first = train(run, before=before)
        (record,) = (run.directory / "finished").iterdir()
        kept = parse_json(record)
        write_json(record, kept | {"result": kept["result"] | {"epochs": 9}})
        assert (train(run, before=before), train.worked) == (first, 2)

    def test_what_is_damaged_is_told(self, run, train, before, caplog):
        train(run, before).weights.path.write_text("damaged")
        train(run, before)
        (record,) = (run.directory / "finished").iterdir()
        assert f"{record} is damaged" in caplog.text

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

    @pytest.mark.parametrize("damaged", [0, 1])
    def test_any_file_of_several_that_is_not_what_was_written_is_written_anew(self, run, damaged):
        worked = []

        @finished_once
        def draw(run: Run) -> Samples:
            with Meter("draw") as meter:
                worked.append(run)
                shards = tuple(write_json(run.directory / f"shard-{number}.json", number) for number in range(2))
            meter.save(run)
            return Samples(attempt=0, model="", shards=shards, counts=Counts.of(users=1, items=1, interactions=1))

        drawn = draw(run)
        drawn.shards[damaged].path.write_text("damaged")
        assert (draw(run), len(worked)) == (drawn, 2)
        assert (draw(run), len(worked)) == (drawn, 2)

    @pytest.mark.parametrize("package", ["sdrm_core", "tasks"])
    def test_what_other_code_finished_is_done_again(self, run, tmp_path, monkeypatch, package):
        """Of three nights the second finds a module changed, the third finds all as the second left it."""
        for name in ("sdrm_core", "tasks"):
            (tmp_path / name / "deeper").mkdir(parents=True)
            (tmp_path / name / "deeper" / "module.py").touch()
        monkeypatch.setattr(sdrm_core, "__file__", str(tmp_path / "sdrm_core" / "__init__.py"))
        monkeypatch.setattr(resumable, "_whole_code", resumable._whole_code.__wrapped__)  # a night reads it once
        worked = []

        def train(run: Run, before: str) -> Artifact:
            with Meter("train") as meter:
                worked.append(before)
            meter.save(run)
            return write_json(run.directory / "weights.json", before)

        finished_once(train)(run, before="of a night")
        (tmp_path / package / "deeper" / "module.py").write_text("changed = True")
        for _ in range(2):
            finished_once(train)(run, before="of a night")
        assert len(worked) == 2
