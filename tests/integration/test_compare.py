"""A small comparison from end to end: its figures, what a second call repeats, and what a kill costs."""

import json
import os
import shutil
import signal
import time
import xml.etree.ElementTree as ET
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import yaml

from flows.compare import run_comparison
from sdrm_core.data.roles import Role
from sdrm_core.data.simulate import simulate_interactions
from sdrm_core.errors import ConfigError, DataError, Problem, SdrmError
from sdrm_core.privacy.judge import judge_privacy
from sdrm_core.privacy.verdicts import Verdict, strictest_of
from sdrm_core.quality.augmentation import measure_augmentation
from sdrm_core.quality.fidelity import measure_fidelity
from sdrm_core.quality.utility import Resampled, difference, make_folds, rank_arm, report_arms
from sdrm_core.records import Artifact
from sdrm_core.storage import read_user_items, sha256_of, temporary_beside
from tasks.claims import exclusive_lock
from tasks.compare.plan import Comparison, parse_arms, parse_judges, parse_seeds
from tests.conftest import small_night
from tests.integration.processes import command, environment, eventually, started

ARMS, JUDGES, SEEDS = "popularity,sdrm_full,sdrm_full@2", "popularity,svd", "0,1"


def comparison(directory, out, *, arms=ARMS, judges=JUDGES, seeds=SEEDS, **sections):
    return Comparison(
        config=small_night(directory, **sections),
        arms=parse_arms(arms),
        judges=parse_judges(judges),
        seeds=parse_seeds(seeds),
        out=out,
        command="sdrm compare small.yaml --out there",
    )


@pytest.fixture(scope="module")
def compared(prefect_server, tmp_path_factory):
    directory = tmp_path_factory.mktemp("compare")
    log = directory / "log.csv"
    simulate_interactions(seed=5, n_users=600, n_items=120).to_pandas().to_csv(log, index=False)
    asked = comparison(directory, directory / "out", source={"uri": str(log)})
    return asked, run_comparison(asked, workers=2)


@pytest.fixture(scope="module")
def table(compared):
    return pd.read_parquet(compared[1].table)


def pieces(out):
    return {path.relative_to(out): path.stat().st_mtime_ns for path in (out / "cells").rglob("*") if path.is_file()}


def files_of(model):
    return {path.name: path.read_bytes() for path in model.iterdir() if path.name != "fit.json"}


def roles_of(out):
    (path,) = out.glob("input/*/matrix/user_items.npz")
    user_items, beside = read_user_items(artifact(path))
    return {role.name.lower(): user_items[beside["roles"] == role] for role in Role}


def artifact(path):
    return Artifact(path=path, sha256=sha256_of(path))


def users_of(out, arm):
    return [
        read_user_items(artifact(next((out / "cells" / arm).glob(f"users-seed-{seed}-*.npz"))))[0] for seed in (0, 1)
    ]


def row(table, **wanted):
    found = table
    for column, value in wanted.items():
        found = found[found[column] == value]
    assert len(found) == 1
    return found.iloc[0]


def privacy_figures(reports):
    """Return measure → (values, verdicts), one a report, of gates that found the same figures in each."""
    figures = {"all gates passed": passed([strictest_of(gate.verdict for gate in one.gates) for one in reports])}
    for gates in zip(*(one.gates for one in reports), strict=True):
        name = gates[0].gate
        figures[f"{name} passed"] = passed([gate.verdict for gate in gates])
        for figure in gates[0].figures:
            same = [one for gate in gates for one in gate.figures if one.name == figure.name]
            figures[f"{name}: {figure.name}"] = [one.effect for one in same], [one.verdict for one in same]
        for baseline in gates[0].baseline:
            figures[f"{name}, baseline: {baseline}"] = [gate.baseline[baseline] for gate in gates], []
    return figures


def passed(verdicts):
    return [float(verdict == Verdict.PASS) for verdict in verdicts], verdicts


class TestFigures:
    def test_utility_is_that_of_the_direct_computation(self, compared, table):
        asked, _ = compared
        roles = roles_of(asked.out)
        arms = {choice.label: users_of(asked.out, choice.label) for choice in asked.arms}
        utility, seed = asked.config.utility, asked.config.seed
        choosing, folds = (make_folds(roles[role], config=utility, seed=seed) for role in ("validation", "evaluation"))
        for judge in asked.judges:
            ranks = {
                arm: np.stack([rank_arm(judge, one, folds=folds, validation=choosing, seed=seed) for one in many])
                for arm, many in {"real": [roles["train"]], **arms}.items()
            }
            direct = report_arms(
                {arm: Resampled.of(values, draws=utility.bootstrap_draws, seed=seed) for arm, values in ranks.items()}
            )
            real = row(table, arm="real", kind="utility", judge=judge, measure="ndcg@10")
            assert real["value"] == direct["real"]["ndcg@10"].mean.value
            for arm in arms:
                report = direct[arm]["recall@10"]
                found = row(table, arm=arm, kind="utility", judge=judge, measure="recall@10 ratio")
                assert (found.value, found.low, found.high) == tuple(report.ratio.model_dump().values())
                assert found.seeds == 2
                difference = row(table, arm=arm, kind="difference", judge=judge, measure="recall@10", versus="real")
                assert difference.verdict == report.verdict

    def test_gains_are_those_of_the_direct_computation(self, compared, table):
        asked, _ = compared
        roles = roles_of(asked.out)
        direct = measure_augmentation(
            users_of(asked.out, "sdrm_full"),
            train=roles["train"],
            validation=roles["validation"],
            evaluation=roles["evaluation"],
            config=asked.config.utility.model_copy(update={"judges": ("svd",)}),
            seed=asked.config.seed,
        ).judges["svd"]
        found = row(table, arm="sdrm_full", kind="augmentation", judge="svd", measure="recall@10")
        assert found.value == direct.metrics["recall@10"].difference.value
        assert row(table, arm="sdrm_full", kind="augmentation", judge="svd", measure="weight").value == direct.weight

    def test_fidelity_stands_beside_real_users_nothing_has_seen(self, compared, table):
        asked, _ = compared
        roles = roles_of(asked.out)
        direct = [
            measure_fidelity(
                users, train=roles["train"], holdout=roles["holdout"], k_anonymity=5, seed=asked.config.seed
            )
            for users in users_of(asked.out, "popularity")
        ]
        values = [report.synthetic("popularity_spearman") for report in direct]
        found = row(table, arm="popularity", kind="fidelity", measure="popularity_spearman")
        assert found.value == pytest.approx(np.mean(values))
        assert (found.low, found.high) == (min(values), max(values))
        holdout = row(table, arm="holdout", kind="fidelity", measure="popularity_spearman")
        assert holdout.value == direct[0].figures["popularity_spearman"].holdout

    def test_every_gate_has_a_verdict_and_every_arm_its_cost(self, compared, table):
        asked, _ = compared
        for choice in asked.arms:
            mine = table[table.arm == choice.label]
            assert set(mine[mine.measure.str.endswith("passed")].verdict) <= {"PASS", "FAIL", "INCONCLUSIVE"}
            assert len(mine[mine.measure.str.endswith(" passed")]) == 10
            assert (mine[mine.kind == "cost"].value >= 0).all()

    @pytest.mark.parametrize("arm", ARMS.split(","))
    def test_privacy_is_that_of_the_direct_computation(self, compared, table, arm):
        asked, _ = compared
        roles = roles_of(asked.out)
        direct = [
            judge_privacy(
                users,
                roles["train"],
                roles["holdout"],
                user_ids=np.arange(users.shape[0]),
                previous_ids=None,
                config=asked.config.privacy,
                seed=asked.config.seed,
            )
            for users in users_of(asked.out, arm)
        ]
        mine = table[(table.arm == arm) & (table.kind == "privacy")]
        assert (mine.seeds == 2).all()
        expected = privacy_figures(direct)
        assert sorted(mine.measure) == sorted(expected)
        for found in mine.itertuples():
            values, verdicts = expected[found.measure]
            assert found.value == pytest.approx(np.mean(values), rel=1e-12)
            assert (found.low, found.high) == (min(values), max(values))
            assert found.verdict == (strictest_of(verdicts) if verdicts else "")

    def test_ten_times_as_many_are_as_many_times_as_many(self, compared):
        asked, _ = compared
        once, twice = users_of(asked.out, "sdrm_full")[0], users_of(asked.out, "sdrm_full@2")[0]
        assert twice.shape[0] == 2 * once.shape[0] == 2 * roles_of(asked.out)["train"].shape[0]
        assert (twice[: once.shape[0]] != once).nnz == 0

    def test_the_page_and_the_plots_can_be_opened(self, compared):
        asked, found = compared
        page = found.markdown.read_text()
        assert page.rstrip().endswith("```console\nsdrm compare small.yaml --out there\n```")
        assert all(f"`{choice.label}`" in page for choice in asked.arms)
        assert str(asked.out) not in page
        assert {path.suffix for path in found.plots} == {".svg", ".png"}
        for path in found.plots:
            if path.suffix == ".svg":
                ET.parse(path)
            else:
                assert path.read_bytes().startswith(b"\x89PNG")

    def test_everything_is_private(self, compared):
        assert compared[0].out.stat().st_mode & 0o777 == 0o700


class TestAgain:
    @pytest.fixture
    def copied(self, compared, tmp_path, monkeypatch):
        monkeypatch.setattr("tasks.compare.results.plot_comparison", lambda *_: ())  # seconds each time
        asked, _ = compared
        shutil.copytree(asked.out, tmp_path / "out")
        return asked.model_copy(update={"out": tmp_path / "out"})

    def test_only_what_is_missing_is_computed(self, copied):
        before = pieces(copied.out)
        page = (copied.out / "table.parquet").read_bytes()
        gone = next((copied.out / "cells" / "sdrm_full").glob("ranks-svd-seed-1-*.npz"))
        gone.unlink()
        run_comparison(copied, workers=1)
        after = pieces(copied.out)
        assert set(after) == set(before)
        changed = {path for path in after if after[path] != before[path]}
        assert changed == {path.relative_to(copied.out) for path in (gone, gone.with_suffix(".json"))}
        assert (copied.out / "table.parquet").read_bytes() == page

    def test_what_a_killed_process_left_aside_is_removed_and_not_taken_for_a_model(self, copied):
        (model, *_) = (copied.out / "models").iterdir()
        aside = model.rename(temporary_beside(model))
        (aside / "fit.json").unlink()
        run_comparison(copied, workers=1)
        assert not [path for path in (copied.out / "models").iterdir() if path.name.startswith(".")]

    def test_the_directory_is_locked_until_the_last_thread_has_ended(self, copied, monkeypatch):
        def flow(asked):
            with exclusive_lock(asked.out):
                pass

        monkeypatch.setattr("flows.compare.compare", Mock(with_options=Mock(return_value=flow)))
        with pytest.raises(SdrmError, match="another process is at work"):
            run_comparison(copied, workers=1)

    def test_an_arm_more_leaves_the_others_as_they_are(self, copied):
        before = pieces(copied.out)
        more = copied.model_copy(update={"arms": parse_arms(f"{ARMS},sdrm_multi"), "judges": parse_judges("svd")})
        run_comparison(more, workers=1)
        after = pieces(copied.out)
        assert {path: after[path] for path in before} == before
        assert {path.parts[1] for path in set(after) - set(before)} == {"sdrm_multi"}
        assert len(list((copied.out / "models").iterdir())) == 4  # one fit serves both resolutions

    def test_another_configuration_is_refused_and_nothing_changes(self, copied):
        before = pieces(copied.out)
        vae = copied.config.vae.model_copy(update={"max_epochs": 9})
        other = copied.model_copy(update={"config": copied.config.model_copy(update={"vae": vae})})
        with pytest.raises(ConfigError, match=r"vae.max_epochs was 10 and is 9"):
            run_comparison(other, workers=1)
        assert pieces(copied.out) == before

    def test_other_roles_are_other_data(self, copied, monkeypatch):
        monkeypatch.setenv("SDRM_ROLE_KEY", "another key nobody guesses")
        with pytest.raises(ConfigError, match="other data"):
            run_comparison(copied, workers=1)

    def test_a_damaged_piece_is_made_again(self, copied, table, caplog):
        pieces = ("popularity/users-seed-0-*.npz", "popularity/users-seed-1-*.json", "popularity/privacy-seed-0-*.json")
        damaged = [next((copied.out / "cells").glob(piece)) for piece in pieces]
        for piece in damaged:
            piece.write_bytes(piece.read_bytes()[:-9])
        for fidelity in (copied.out / "cells" / "popularity").glob("fidelity-*.json"):
            fidelity.unlink()  # needs the users
        for is_damaged in (True, False):
            run_comparison(copied, workers=1)
            told = [f"{piece.with_suffix('.json')} is damaged" in caplog.text for piece in damaged]
            assert told == [is_damaged] * len(damaged)
            caplog.clear()
        again = pd.read_parquet(copied.out / "table.parquet")
        pd.testing.assert_frame_equal(again[again.kind != "cost"], table[table.kind != "cost"])

    def test_a_damaged_model_is_fitted_again(self, copied, caplog):
        models = [next((copied.out / "models").glob(f"sdrm-seed-{seed}-*")) for seed in (0, 1)]
        before = [files_of(model) for model in models]
        for seed, (model, name) in enumerate(zip(models, ("vae.safetensors", "fit.json"), strict=True)):
            (model / name).write_bytes(b"damaged")
            next((copied.out / "cells" / "sdrm_full").glob(f"users-seed-{seed}-*.json")).unlink()
        run_comparison(copied, workers=1)
        assert all(f"{model} is damaged" in caplog.text for model in models)
        assert [files_of(model) for model in models] == before

    def test_a_piece_that_cannot_be_made_is_named_and_the_others_are_in_the_table(self, copied, monkeypatch):
        def measured(choice):
            if choice.label == "popularity":
                raise DataError(Problem("x", "y", "z"))

        monkeypatch.setattr("tasks.compare.stages._measure_privacy", lambda _, choice, __: measured(choice))
        (copied.out / "table.parquet").unlink()
        with pytest.raises(SdrmError, match=r"2 pieces .*table.md.*\n  popularity, seed 0: x"):
            run_comparison(copied, workers=1)
        arms = set(pd.read_parquet(copied.out / "table.parquet").arm)
        assert "sdrm_full" in arms
        assert "popularity" not in arms

    def test_without_an_augmentation_all_else_is_in_the_table(self, copied, monkeypatch):
        for gain in copied.out.glob("cells/*/gain-svd-*.json"):
            gain.unlink()
        monkeypatch.setattr(
            "tasks.compare.stages.measure_augmentation", Mock(side_effect=DataError(Problem("x", "y", "z")))
        )
        with pytest.raises(SdrmError, match=r"1 piece .*\n  augmentation by svd: x"):
            run_comparison(copied, workers=1)
        table = pd.read_parquet(copied.out / "table.parquet")
        assert set(table[table.kind == "utility"].judge) == {"popularity", "svd"}
        assert set(table[table.kind == "augmentation"].judge) == {"popularity"}


def test_a_killed_comparison_goes_on_and_ends_alike(compared, prefect_server, tmp_path):
    asked, _ = compared
    config = asked.config.model_dump(mode="json")
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(config))
    out = shutil.copytree(asked.out, tmp_path / "out")
    for made in (*out.glob("*/*-seed-1-*"), *out.glob("*/*/*-seed-1-*"), *out.glob("table.*")):
        shutil.rmtree(made) if made.is_dir() else made.unlink()
    call = command("sdrm", "compare", "small.yaml", "--arms", ARMS, "--judges", JUDGES, "--seeds", SEEDS)
    env = environment(tmp_path / "prefect", OMP_NUM_THREADS="1", PREFECT_API_URL=prefect_server)
    with started([*call, "--out", "out"], env=env, log=tmp_path / "log", cwd=tmp_path) as process:
        eventually("a piece is finished", lambda: list(out.glob("cells/*/users-seed-1-*.json")), every=0.01)
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    kept = pieces(out)
    assert not (out / "table.md").exists()
    run_comparison(asked.model_copy(update={"out": out}), workers=1)
    assert {path: pieces(out)[path] for path in kept if path.suffix != ".tmp"} == {
        path: stamp for path, stamp in kept.items() if path.suffix != ".tmp"
    }
    columns = ["arm", "kind", "judge", "measure", "versus", "value", "low", "high", "verdict"]
    mine, theirs = (pd.read_parquet(path / "table.parquet")[columns] for path in (out, asked.out))
    pd.testing.assert_frame_equal(mine[mine.kind != "cost"], theirs[theirs.kind != "cost"])
    assert json.loads((out / "compare.json").read_text())["input"]


def test_a_difference_between_arms_is_paired():
    values = np.random.default_rng(0).random((3, 50, 12))
    same, more = (Resampled.of(one, draws=200, seed=0) for one in (values, values + 0.1))
    better = difference(more, same)["recall@10"]
    assert better.verdict == "better"
    assert better.difference.low == pytest.approx(0.1)
    assert better.difference.high == pytest.approx(0.1)
    assert difference(same, more)["ndcg@1"].verdict == "worse"
    assert difference(same, same)["ndcg@1"].verdict == "no difference"
