"""A whole night on a small data set: what is published, what is refused, and what never gets out."""

import json
import re
import shutil
import stat
from pathlib import Path
from unittest.mock import Mock

import httpx
import pandas as pd
import pyarrow.parquet as pq
import pytest

from flows.regenerate import regenerate
from sdrm_core.data.simulate import simulate_interactions
from sdrm_core.errors import ArtifactError, DataError, GateFailed
from sdrm_core.model.temperature import Randomness, more_random
from sdrm_core.storage import sha256_of
from tasks.describe import describe
from tasks.more import sample_more
from tasks.release.history import require_readable_latest
from tasks.role_key import ROLES_OF_SEED
from tests.conftest import small_night

pytestmark = pytest.mark.usefixtures("prefect_server")

NASTY = ["007", "🎬 film", 'say "hi", you', "line\nbreak", "18446744073709551617", "0x1F", " padded ", "Null"]


FOUND = {"temperature": None}  # one night finds its temperature as real ones do; it takes seconds


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Write a log whose user ids can be recognised anywhere, and whose item ids are as awkward as they come."""
    path = tmp_path_factory.mktemp("source") / "log.csv"
    frame = simulate_interactions(seed=5, n_users=700, n_items=150).to_pandas()
    items = {
        item: NASTY[place] if place < len(NASTY) else f"i{place}" for place, item in enumerate(frame.item_id.unique())
    }
    frame["item_id"] = frame.item_id.map(items)
    frame["user_id"] = "real-person-" + frame.user_id.astype(str)
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def night(tmp_path_factory, source):
    """Run one night; the tests of this module look at what it left."""
    directory = tmp_path_factory.mktemp("night")
    config = small_night(directory, source={"uri": str(source)}, sampling=FOUND)
    return config, regenerate(config)


def files_below(directory):
    return [path for path in directory.rglob("*") if path.is_file()]


class TestPublished:
    def test_the_release_has_its_parts_and_nothing_half_written(self, night):
        _, release = night
        names = {str(path.relative_to(release.path)) for path in files_below(release.path)}
        assert names == {"interactions/part-00000.parquet", "manifest.json", "README.md", "report.html"}
        assert not [path for path in files_below(release.path.parent) if path.name.startswith(".")]
        assert {path.name for path in release.path.parent.iterdir()} == {release.version, "latest.json"}

    def test_latest_points_at_it(self, night):
        _, release = night
        assert json.loads((release.path.parent / "latest.json").read_text())["version"] == release.version

    def test_the_manifest_says_what_is_there(self, night, source):
        _, release = night
        manifest = json.loads((release.path / "manifest.json").read_text())
        rows = pq.read_table(release.path / "interactions").to_pandas()
        assert manifest["synthetic_counts"]["interactions"] == len(rows) == manifest["files"][0]["rows"]
        assert manifest["synthetic_counts"]["users"] == rows.user_id.nunique()
        assert manifest["synthetic_counts"]["items"] == rows.item_id.nunique()
        assert manifest["files"][0]["sha256"] == sha256_of(release.path / manifest["files"][0]["path"])
        assert manifest["source"] == {
            "uri": source.name,  # where it lies is nobody else's business
            "sha256": manifest["source"]["sha256"],
            "rows": int(float(f"{len(pd.read_csv(source)):.3g}")),  # people are not counted exactly
        }
        assert set(manifest["gates"]) == {"raw_interactions", "matrix", "synthetic", "release"}
        assert {gate["verdict"] for gate in manifest["gates"].values()} == {"PASS"}
        assert all(stage["seconds"] >= 0 and stage["peak_rss_mb"] > 0 for stage in manifest["stages"].values())
        assert {"privacy", "utility", "fidelity", "model", "schema", "config", "seed", "code_version"} <= set(manifest)

    def test_the_last_gates_page_says_what_the_privacy_gates_answered(self, night):
        config, release = night
        answers = json.loads((release.path / "manifest.json").read_text())["privacy"]["gates"]
        (report,) = config.paths.work.glob("*/gates/release.json")
        verdicts = [one for one in json.loads(report.read_text())["results"] if "PASS" in one["rule"]]
        assert len(verdicts) >= len(answers)
        for one in verdicts:
            assert answers[one["column"].removeprefix("privacy_")]["sentence"] in one["remedy"]

    def test_rows_are_sorted_unique_and_of_the_catalogue_as_it_came(self, night, source):
        _, release = night
        rows = pq.read_table(release.path / "interactions").to_pandas()
        assert rows.user_id.is_monotonic_increasing
        assert not rows.duplicated().any()
        assert set(rows.item_id) <= set(pd.read_csv(source, keep_default_na=False).item_id)
        assert set(rows.item_id) & set(NASTY)

    def test_no_real_user_id_leaves_the_ingest_directory(self, night):
        config, _ = night
        with_ids = {
            path.parent.name
            for directory in (config.paths.releases, config.paths.work)
            for path in files_below(directory)
            if b"real-person" in path.read_bytes()
        }
        table = pq.read_table(next(config.paths.work.rglob("ingest/interactions.parquet")))
        assert table.column("user_id")[0].as_py().startswith("real-person")
        assert with_ids <= {"ingest"}

    def test_the_working_directory_is_private(self, night):
        config, _ = night
        assert config.paths.work.stat().st_mode & 0o777 == 0o700
        assert all(path.stat().st_mode & 0o077 == 0 for path in config.paths.work.iterdir() if path.is_dir())

    def test_the_journal_has_a_line(self, night, source):
        config, release = night
        (line,) = (config.paths.work / "runs.jsonl").read_text().splitlines()
        assert json.loads(line)["verdict"] == "published"
        assert json.loads(line)["release"] == str(release.path)
        assert json.loads(line)["source_sha256"] == sha256_of(source)

    def test_release_and_working_directory_can_be_described(self, night):
        config, release = night
        told = describe(release.path)
        assert "privacy:   " in told
        assert "roles:     by the seed, 1 attempt\n" in told
        assert "membership" in told or "every gate passed" in told
        assert "files:     1 data file, all digests match the recorded ones" in told
        (run,) = [path for path in config.paths.work.iterdir() if path.is_dir()]
        assert re.search(r"pretrain \d+\.\d s.*\n.*release PASS", describe(run))

    def test_more_users_of_its_model_are_others_and_no_release(self, night, tmp_path):
        config, release = night
        sample = sample_more(release.path, users=50, out=tmp_path / "more", resolution="multi", work=config.paths.work)
        rows, published = (pq.read_table(path / "interactions").to_pandas() for path in (sample, release.path))
        assert rows.user_id.nunique() == 50
        assert stat.S_IMODE(sample.stat().st_mode) == 0o700
        assert not set(rows.user_id) & set(published.user_id)
        assert re.search(
            r"50 users, [\d,]+ interactions, multi .*\n.*no gate has judged these users.*\n.*digests", describe(sample)
        )
        next((sample / "interactions").iterdir()).write_bytes(b"damaged")
        with pytest.raises(ArtifactError, match=r"part-00000.* changed or damaged\. Draw the sample again"):
            describe(sample)

    def test_more_users_are_on_disk_before_they_have_their_name(self, night, tmp_path, monkeypatch):
        config, release = night
        out, synced = tmp_path / "more", []
        monkeypatch.setattr("tasks.more.sync", lambda path: synced.append((path.name[:5], out.exists())))
        sample_more(release.path, users=5, out=out, resolution="full", work=config.paths.work)
        assert synced == [(".more", False), (tmp_path.name[:5], True)]

    def test_more_users_of_its_model_are_none_of_the_releases_even_under_its_seed(self, night, tmp_path):
        config, release = night
        sample = sample_more(
            release.path,
            users=50,
            out=tmp_path / "more",
            resolution=config.sampling.resolution,
            seed=config.seed,
            work=config.paths.work,
        )
        drawn, published = (
            [tuple(items) for _, items in pq.read_table(path / "interactions").to_pandas().groupby("user_id").item_id]
            for path in (sample, release.path)
        )
        assert sum(one == other for one, other in zip(drawn, published, strict=False)) < 5

    def test_users_of_two_models_have_no_id_in_common(self, night, tmp_path):
        config, release = night
        model = next(config.paths.work.glob("*/model"))
        other = shutil.copytree(model, tmp_path / "model")
        about = json.loads((other / "model.json").read_text())
        (other / "model.json").write_text(json.dumps(about))  # not indented: another file of the same model
        ids = []
        for number, source in enumerate((release.path, model, other)):
            sample = sample_more(
                source, users=20, out=tmp_path / f"{number}", resolution="full", work=config.paths.work
            )
            ids.append(set(pq.read_table(sample / "interactions").column("user_id").to_pylist()))
        assert ids[0] == ids[1]
        assert not ids[1] & ids[2]

    def test_two_samples_of_one_seed_have_no_id_in_common(self, night, tmp_path):
        config, release = night
        ids = []
        for users, resolution in ((20, "full"), (20, "multi"), (30, "full")):
            out = tmp_path / f"{users}-{resolution}"
            sample_more(release.path, users=users, out=out, resolution=resolution, work=config.paths.work)
            ids += set(pq.read_table(out / "interactions").column("user_id").to_pylist())
        assert len(set(ids)) == len(ids) == 70

    def test_a_file_that_was_not_published_with_it_is_seen(self, night, tmp_path):
        _, release = night
        copy = shutil.copytree(release.path, tmp_path / "copy")
        shutil.copy(copy / "interactions" / "part-00000.parquet", copy / "interactions" / "real.parquet")
        with pytest.raises(ArtifactError, match=r"real\.parquet is not part of the release, but"):
            describe(copy)

    @pytest.mark.parametrize("name", ["manifest.json", "config.json", "latest.json"])
    def test_what_somebody_else_wrote_is_no_release(self, tmp_path, name):
        (tmp_path / name).write_text('{"name": "a web page"}')
        with pytest.raises(DataError, match="is not a release"):
            describe(tmp_path)

    def test_a_latest_release_that_is_damaged_is_told_before_the_work_begins(self, night, tmp_path):
        config, release = night
        copy = shutil.copytree(config.paths.releases, tmp_path / "releases") / release.path.relative_to(
            config.paths.releases
        )
        elsewhere = config.model_copy(
            update={"paths": config.paths.model_copy(update={"releases": tmp_path / "releases"})}
        )
        require_readable_latest(elsewhere)
        (part,) = (copy / "interactions").iterdir()
        for damaged in (part.read_bytes()[:-9], part.read_bytes()[:200].ljust(part.stat().st_size, b"0"), None):
            part.unlink() if damaged is None else part.write_bytes(damaged)
            with pytest.raises(ArtifactError, match=r"is not as it was published .*Move it away") as caught:
                require_readable_latest(elsewhere)
            assert "makes it again" not in str(caught.value)
            with pytest.raises(
                ArtifactError, match=r"part-00000.*\. Restore the published file, or stop using this release"
            ):
                describe(copy)
        (copy / "manifest.json").write_text("{}")
        with pytest.raises(ArtifactError, match=r"is not as it was published .*Move it away"):
            require_readable_latest(elsewhere)

    def test_the_readers_example_reads_it(self, night):
        _, release = night
        readme = (Path(__file__).parents[2] / "README.md").read_text()
        (example,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
        found = {}
        exec(example.replace("releases/demo", str(release.path.parent)), found)
        counts = json.loads((release.path / "manifest.json").read_text())["synthetic_counts"]
        assert found["user_items"].shape == (counts["users"], counts["items"])
        assert found["user_items"].nnz == counts["interactions"]

    def test_the_release_says_that_its_roles_are_no_secret(self, night):
        _, release = night
        assert json.loads((release.path / "manifest.json").read_text())["roles"] == ROLES_OF_SEED
        assert "Set `SDRM_ROLE_KEY`" in (release.path / "README.md").read_text()
        assert "on whom the model was trained was decided by the seed" in (release.path / "report.html").read_text()

    def test_training_curves_and_operator_report_stay_in_the_working_directory(self, night):
        config, _ = night
        names = {path.name for path in files_below(config.paths.work)}
        assert {"privacy.html", "privacy.json", "curve.json", "vae.safetensors", "model.json"} <= names


def test_a_night_cut_otherwise_that_crashed_goes_on_where_it_ended_and_makes_the_same_release(
    night, tmp_path, source, monkeypatch
):
    _, release = night
    cut = {"shard_users": 97, "batch_users": 13}
    config = small_night(tmp_path, source={"uri": str(source)}, sampling=FOUND, compute=cut)
    with monkeypatch.context() as broken:
        broken.setattr("flows.regenerate.measure_privacy", Mock(side_effect=RuntimeError("power failure")))
        with pytest.raises(RuntimeError, match="power failure"):
            regenerate(config)
    monkeypatch.setattr("tasks.pages.create_markdown_artifact", Mock(side_effect=httpx.ConnectError("no server")))
    again = regenerate(config)
    assert again.digest == release.digest
    assert [path for path in again.path.parent.iterdir() if path.is_dir()] == [again.path]  # published, and once
    stages = json.loads((again.path / "manifest.json").read_text())["stages"]
    done = {"pretrain", "diffuse", "sample", "measure_fidelity", "measure_utility"}
    assert {name for name, stage in stages.items() if stage["cached"]} == done


class TestRefused:
    @pytest.fixture
    def published(self, night, tmp_path, source):
        """Return a configuration whose releases directory already has a release in it."""
        config, release = night
        directory = tmp_path / "releases" / config.dataset
        shutil.copytree(release.path.parent, directory)
        return tmp_path, source, directory

    @pytest.mark.parametrize(
        ("gate", "bounds", "expected"),
        [
            (
                "raw_interactions",
                {"raw_interactions": {"max_rating": 3}},
                r"rating is between 0 and 3; not true in [\d,]+ of [\d,]+ rows, for example row \d+",
            ),
            ("matrix", {"matrix": {"min_users": 100_000}}, "users is at least 100,?000"),
            ("synthetic", {"synthetic": {"max_activity_ks": 0}}, "activity_ks"),
        ],
    )
    def test_a_failed_gate_publishes_nothing_and_says_why(self, published, gate, bounds, expected):
        directory, source, releases = published
        before = {path: path.read_bytes() for path in files_below(releases)}
        with pytest.raises(GateFailed, match=expected) as caught:
            regenerate(small_night(directory, source={"uri": str(source)}, gates=bounds, vae={"max_epochs": 2}))
        assert caught.value.gate == gate
        assert {path: path.read_bytes() for path in files_below(releases)} == before
        stages = {path.stem for path in (directory / "work").rglob("stages/*.json")}
        assert "publish" not in stages
        assert ("pretrain" in stages) == (gate == "synthetic")

    def test_of_two_refused_attempts_none_is_published_and_both_are_as_random_as_they_are_to_be(self, published):
        directory, source, releases = published
        before = {path: path.read_bytes() for path in files_below(releases)}
        privacy, gates = {"min_dissimilarity": 1, "attempts": 2}, {"release": {"min_popularity_spearman": 1}}
        with pytest.raises(GateFailed, match="privacy_dissimilarity") as caught:
            regenerate(small_night(directory, source={"uri": str(source)}, privacy=privacy, gates=gates))
        assert "popularity_spearman" in str(caught.value)
        assert caught.value.gate == "release"
        assert {path: path.read_bytes() for path in files_below(releases)} == before
        (run,) = (path for path in (directory / "work").iterdir() if path.is_dir())
        assert {path.stem for path in (run / "attempts").iterdir()} >= {"0-release", "1-release"}
        stages = {path.stem for path in (run / "stages").iterdir()}
        for stage in ("sample", "measure_utility", "measure_privacy", "gate_release"):
            assert {stage, f"{stage}_second_attempt"} <= stages
        assert temperatures(run) == {"model": 0.8}
        assert (run / "privacy.html").is_file(), "the operator sees why"
        assert not (run / "stages" / "publish.json").exists()


class TestSecondAttempt:
    @staticmethod
    def refused(directory, source, **sections):
        """Return the directory of a night that nothing lets through, and the gate reports of both attempts."""
        two = {**sections.pop("privacy", {}), "attempts": 2}
        with pytest.raises(GateFailed):
            regenerate(small_night(directory, source={"uri": str(source)}, privacy=two, **sections))
        (run,) = (path for path in (directory / "work").iterdir() if path.is_dir())
        return run, {path.stem for path in (run / "attempts").iterdir()}

    def test_what_gave_too_much_away_is_drawn_more_randomly(self, night, tmp_path, source):
        _, release = night
        model = json.loads((release.path / "manifest.json").read_text())["model"]
        first = Randomness(model["temperature"], model["doubt"])
        run, reports = self.refused(tmp_path, source, sampling=FOUND, privacy={"min_dissimilarity": 1})
        assert reports == {"0-synthetic", "0-release", "1-synthetic", "1-release"}
        second = more_random(first, may_doubt=True)
        assert temperatures(run) == {"model": first.temperature, "model-1": second.temperature}
        assert second.temperature > 1.2 * first.temperature
        fitted = [json.loads(path.read_text())["result"] for path in (run / "finished").glob("diffuse-*.json")]
        assert {(one["temperature"], one["doubt"]) for one in fitted} == {first, second}
        fits = {path: path.stat().st_mtime_ns for path in run.glob("*/model.json")}
        self.refused(tmp_path, source, sampling=FOUND, privacy={"min_dissimilarity": 1})
        assert {path: path.stat().st_mtime_ns for path in fits} == fits, "started again it takes over both fits"


def temperatures(run):
    return {path.parent.name: json.loads(path.read_text())["temperature"] for path in run.glob("*/model.json")}


def test_results_are_kept_as_json_not_pickle(night):
    from prefect.settings import get_current_settings

    stored = [path for path in get_current_settings().results.local_storage_path.iterdir() if path.is_file()]
    described = [content for path in stored if "metadata" in (content := json.loads(path.read_text()))]
    assert described
    assert {content["metadata"]["serializer"]["type"] for content in described} == {"json"}


def test_every_gate_leaves_an_artifact(night):
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        keys = {artifact.key for artifact in client.read_artifacts()}
    assert {"gate-raw-interactions", "gate-matrix", "gate-synthetic", "gate-release", "release"} <= keys
