import json

import pytest

from sdrm_core.errors import DataError
from sdrm_core.storage import sha256_of, write_json
from tasks.more import judgement, model_folder


@pytest.fixture
def published(tmp_path):
    """Return a release, its run's model folder, and the journal that ties them."""
    release, model = tmp_path / "releases" / "v1", tmp_path / "work" / "run" / "model"
    for folder in (release, model):
        folder.mkdir(parents=True)
    (model / "model.json").write_text("{}")
    manifest = {"model": {"sha256": sha256_of(model / "model.json")}}
    (release / "manifest.json").write_text(json.dumps(manifest))
    journal = tmp_path / "work" / "runs.jsonl"
    journal.write_text(json.dumps({"release": str(release), "run": "run"}) + "\n")
    return release, model, journal


def test_half_a_line_in_the_journal_hides_no_run(published):
    release, model, journal = published
    whole = journal.read_text()
    journal.write_text(f'{{"release": "/some\n{whole}{whole[:12]}')
    assert model_folder(release, work=journal.parent) == model


def test_the_folder_of_a_data_set_stands_for_its_latest_release(published):
    release, model, journal = published
    (release.parent / "latest.json").write_text('{"version": "v1"}')
    assert model_folder(release.parent, work=journal.parent) == model


def test_a_model_that_took_the_place_of_the_releases_is_not_taken_for_it(published):
    release, model, journal = published
    (model / "model.json").write_text('{"another": "night"}')
    with pytest.raises(DataError, match="or no longer, that made it"):
        model_folder(release, work=journal.parent)


def test_more_users_of_a_refused_run_say_so(published, caplog):
    _, model, _ = published
    assert judgement(model) == "none: these users were not judged"
    for gate, verdict in (("raw_interactions", "PASS"), ("release", "FAIL")):
        write_json(model.parent / "gates" / f"{gate}.json", {"verdict": verdict})
    assert judgement(model).endswith("were refused by gate release")
    assert "refused by gate release" in caplog.text


def test_more_users_of_a_release_that_missed_privacy_gates_say_so(published, caplog):
    _, model, _ = published
    unmet = [
        {"column": "privacy_membership", "success": False, "severity": "warning"},
        {"column": "privacy_completion", "success": True, "severity": "warning"},
        {"column": "privacy_near_copies", "success": False, "severity": "warning"},
        {"column": "coverage", "success": False, "severity": "warning"},
    ]
    write_json(model.parent / "gates" / "release.json", {"verdict": "PASS", "results": unmet})
    assert judgement(model).endswith("those of the model's own run did not pass near_copies, membership")
    assert "did not pass near_copies, membership" in caplog.text
