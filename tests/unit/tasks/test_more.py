import json

from tasks.more import model_folder


def test_half_a_line_in_the_journal_hides_no_run(tmp_path):
    release, model = tmp_path / "releases" / "v1", tmp_path / "work" / "run" / "model"
    for folder, name in ((release, "manifest.json"), (model, "model.json")):
        folder.mkdir(parents=True)
        (folder / name).write_text("{}")
    whole = json.dumps({"release": str(release), "run": "run"})
    (tmp_path / "work" / "runs.jsonl").write_text(f'{{"release": "/some\n{whole}\n{whole[:12]}')
    assert model_folder(release, work=tmp_path / "work") == model
