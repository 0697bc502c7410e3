import os
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sdrm_core.config import PipelineConfig
from sdrm_core.errors import ArtifactError, ConfigError, DataError
from sdrm_core.storage import sha256_of, temporary_beside, write_json, write_text
from tasks.claims import working_in
from tasks.describe import describe
from tasks.more import judgement, model_folder, sample_more
from tasks.records import Run
from tasks.working_directory import model_directories
from tests.unit.model.conftest import untrained_model
from tests.unit.tasks.example_release import render_inputs


@pytest.fixture
def published(tmp_path):
    """Return a release, and the model folder of its run."""
    release, model = tmp_path / "releases" / "v1", tmp_path / "work" / "0123456789abcdef" / "model"
    for folder in (release, model):
        folder.mkdir(parents=True)
    (model / "model.json").write_text("{}")
    facts = {"run": "0123456789abcdef" + 48 * "0", "model": {"sha256": sha256_of(model / "model.json")}}
    write_json(release / "manifest.json", facts)
    return release, model


def test_a_release_has_its_model_wherever_it_lies(published, tmp_path):
    release, model = published
    moved = release.rename(tmp_path / "moved")
    assert model_folder(moved, work=tmp_path / "work") == model


def test_a_manifest_that_somebody_else_wrote_names_no_model(published, tmp_path):
    release, _ = published
    (release / "manifest.json").write_text('{"name": "a web page"}')
    with pytest.raises(DataError, match="contains no trained model"):
        model_folder(release, work=tmp_path / "work")


def test_the_folder_of_a_data_set_stands_for_its_latest_release(published):
    release, model = published
    (release.parent / "latest.json").write_text('{"version": "v1"}')
    assert model_folder(release.parent, work=model.parents[1]) == model


def test_the_folder_of_all_data_sets_is_no_release(published, tmp_path):
    release, _ = published
    (release.parent / "latest.json").write_text('{"version": "v1"}')
    with pytest.raises(DataError, match=r"is not a release\. Name one, e\.g\. .*/releases$"):
        model_folder(tmp_path, work=tmp_path / "work")


def test_a_model_that_took_the_place_of_the_releases_is_not_taken_for_it(published):
    release, model = published
    (model / "model.json").write_text('{"another": "night"}')
    with pytest.raises(DataError, match="is not, or no longer, in the working directory"):
        model_folder(release, work=model.parents[1])


@pytest.fixture
def second(published):
    """Return the model of the run's second attempt, beside the first."""
    _, model = published
    second = model.with_name("model-1")
    write_json(second / "model.json", {"more": "random"})
    return second


def test_of_two_models_a_release_has_the_one_that_made_it(published, second, tmp_path):
    release, model = published
    assert model_folder(release, work=tmp_path / "work") == model
    facts = {"run": model.parent.name, "model": {"sha256": sha256_of(second / "model.json")}}
    write_json(release / "manifest.json", facts)
    assert model_folder(release, work=tmp_path / "work") == second


def test_a_run_stands_for_the_model_of_its_last_attempt(published, second, tmp_path):
    assert model_folder(second.parent, work=tmp_path) == second


def test_a_new_first_model_takes_the_place_of_both(second):
    run = second.parent
    assert model_directories(run, is_second=True)[0] == second
    assert second.is_dir()
    assert model_directories(run, is_second=False)[0] == second.with_name("model")
    assert not second.exists()


def test_more_users_of_the_attempt_that_was_refused_say_so(published, second):
    _, model = published
    for name, verdict in (("attempts/0-release", "FAIL"), ("attempts/1-release", "PASS"), ("gates/release", "PASS")):
        write_json(model.parent / f"{name}.json", {"verdict": verdict})
    assert judgement(model, source=model).endswith("were refused by gate release")
    assert judgement(second, source=second) == "none: no gate has judged these users"


def test_more_users_of_a_refused_run_say_so(published, caplog):
    _, model = published
    for gate, verdict in (("raw_interactions", "PASS"), ("release", "FAIL")):
        write_json(model.parent / "gates" / f"{gate}.json", {"verdict": verdict})
    assert judgement(model, source=model).endswith("were refused by gate release")
    assert "refused by gate release" in caplog.text


def test_more_users_of_a_release_that_missed_privacy_gates_say_so(published, caplog):
    _, model = published
    unmet = [
        {"column": "privacy_membership", "success": False, "severity": "warning"},
        {"column": "privacy_completion", "success": True, "severity": "warning"},
        {"column": "privacy_near_copies", "success": False, "severity": "warning"},
        {"column": "coverage", "success": False, "severity": "warning"},
    ]
    write_json(model.parent / "gates" / "release.json", {"verdict": "PASS", "results": unmet})
    assert judgement(model, source=model).endswith(
        "the users of the run that trained the model did not pass near_copies, membership"
    )
    assert "did not pass near_copies, membership" in caplog.text


@pytest.mark.parametrize("judged", [(), ("raw_interactions",), ("raw_interactions", "matrix", "synthetic")])
def test_more_users_of_a_run_that_was_not_judged_to_the_end_say_so(published, caplog, judged):
    _, model = published
    for gate in judged:
        write_json(model.parent / "gates" / f"{gate}.json", {"verdict": "PASS"})
    assert judgement(model, source=model.parent).endswith("were not judged to the end")
    assert "were not judged to the end" in caplog.text


def test_a_release_keeps_its_verdicts_while_its_night_is_repeated(published, caplog):
    release, model = published
    (release.parent / "latest.json").write_text('{"version": "v1"}')
    with working_in(Run(config=PipelineConfig(), directory=model.parent, digest="0")):
        for verdict, told in (("FAIL", "did not pass membership"), ("PASS", "no gate has judged these users")):
            privacy = {"hygiene": {"verdict": "PASS"}, "membership": {"verdict": verdict}}
            gates = {"release": {"verdict": "PASS"}}
            write_json(release / "manifest.json", {"gates": gates, "privacy": {"gates": privacy}})
            assert judgement(model, source=release).endswith(told)
            assert judgement(model, source=release.parent).endswith(told)
    assert caplog.text.count("did not pass membership") == 2


@pytest.mark.parametrize("look", [describe, partial(model_folder, work=Path("work"))])
def test_a_mistyped_path_is_told_as_such(tmp_path, look):
    with pytest.raises(DataError, match=r"mistyped: there is no such file or directory\. Check the path"):
        look(tmp_path / "mistyped")


@pytest.mark.parametrize("inside", ["v1/interactions/more", "extra"])
def test_users_that_no_gate_judged_never_lie_among_releases(published, tmp_path, inside):
    release, _ = published
    (release.parent / "latest.json").write_text('{"version": "v1"}')
    before = sorted(release.parent.rglob("*"))
    with pytest.raises(ConfigError, match="which holds releases"):
        sample_more(release, users=3, out=release.parent / inside, resolution="full", work=tmp_path / "work")
    assert sorted(release.parent.rglob("*")) == before


@pytest.mark.parametrize(("name", "content"), [
    ("manifest.json", '{"name": "a web page"}'), ("latest.json", '{"version": 3}'), ("latest.json", "[]"),
])  # fmt: skip
def test_files_of_others_make_no_folder_of_releases(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    model = untrained_model(np.eye(6, 2), activity=np.full(8, 3))
    model.save(tmp_path / "model", item_ids=pa.array(range(6)))
    out = sample_more(tmp_path / "model", users=3, out=tmp_path / "more", resolution="full", work=tmp_path)
    assert (out / "sample.json").is_file()


@pytest.mark.parametrize("name", ["items.parquet", "draw.safetensors"])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_model_with_a_damaged_file_is_not_described(tmp_path, name, damage):
    model = untrained_model(np.eye(6, 2), activity=np.full(8, 3))
    model.save(tmp_path / "model", item_ids=pa.array(range(6)))
    assert "all digests match" in describe(tmp_path / "model")
    damage(tmp_path / "model" / name)
    with pytest.raises(ArtifactError, match=name):
        describe(tmp_path / "model")


@pytest.mark.parametrize("change", [{"gates": []}, {"attempts": "two"}, {"privacy": {"gates": []}}])
def test_a_manifest_that_was_changed_is_not_described(tmp_path, change):
    manifest = {**render_inputs(tmp_path / "run")["manifest"], "files": []}
    write_json(tmp_path / "v1" / "manifest.json", manifest)
    assert "every gate passed" in describe(tmp_path / "v1") or "not passed" in describe(tmp_path / "v1")
    write_json(tmp_path / "v1" / "manifest.json", manifest | change)
    with pytest.raises(DataError, match="is not a release"):
        describe(tmp_path / "v1")


def test_nor_beside_the_folders_of_the_data_sets(published, tmp_path):
    release, _ = published
    (release.parent / "latest.json").write_text('{"version": "v1"}')
    with pytest.raises(ConfigError, match="which holds releases"):
        sample_more(release, users=3, out=release.parents[1] / "more", resolution="full", work=tmp_path / "work")
    assert not (release.parents[1] / "more").exists()


def test_what_a_killed_sample_left_is_removed_once_it_is_old(tmp_path):
    model = untrained_model(np.eye(6, 2), activity=np.full(8, 3))
    model.save(tmp_path / "model", item_ids=pa.array(range(6)))
    old, young, drawing = (temporary_beside(tmp_path / "other") for _ in range(3))
    for folder in (old, young, drawing):
        write_text(folder / "interactions" / "part-00000.parquet", "not judged")
    for path in (old, *old.rglob("*"), drawing, drawing / "interactions"):
        os.utime(path, (0, 0))
    sample_more(tmp_path / "model", users=3, out=tmp_path / "more", resolution="full", work=tmp_path)
    assert {path.name for path in tmp_path.glob(".*")} == {young.name, drawing.name}
