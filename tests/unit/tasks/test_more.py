import pytest

from sdrm_core.errors import DataError
from sdrm_core.storage import sha256_of, write_json
from tasks.more import judgement, model_folder


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
    with pytest.raises(DataError, match="holds no trained model"):
        model_folder(release, work=tmp_path / "work")


def test_the_folder_of_a_data_set_stands_for_its_latest_release(published):
    release, model = published
    (release.parent / "latest.json").write_text('{"version": "v1"}')
    assert model_folder(release.parent, work=model.parents[1]) == model


def test_a_model_that_took_the_place_of_the_releases_is_not_taken_for_it(published):
    release, model = published
    (model / "model.json").write_text('{"another": "night"}')
    with pytest.raises(DataError, match="or no longer, that made it"):
        model_folder(release, work=model.parents[1])


def test_more_users_of_a_refused_run_say_so(published, caplog):
    _, model = published
    assert judgement(model) == "none: these users were not judged"
    for gate, verdict in (("raw_interactions", "PASS"), ("release", "FAIL")):
        write_json(model.parent / "gates" / f"{gate}.json", {"verdict": verdict})
    assert judgement(model).endswith("were refused by gate release")
    assert "refused by gate release" in caplog.text
