import json

import numpy as np
import pytest
from scipy.sparse import csr_matrix, vstack

from sdrm_core.config import UtilityConfig
from sdrm_core.errors import DataError
from sdrm_core.quality.baselines import sample_by_popularity
from sdrm_core.quality.utility import Resampled, make_folds, measure_utility, rank_arm, report_arms

from .communities import community_users

CONFIG = UtilityConfig(fold_seeds=2, bootstrap_draws=200)


@pytest.fixture(scope="module")
def roles():
    return {
        "train": community_users(users=300, seed=1),
        "validation": community_users(users=60, seed=2),
        "evaluation": community_users(users=60, seed=3),
    }


def test_a_copy_of_the_data_costs_nothing(roles):
    report = measure_utility(roles["train"], **roles, config=CONFIG, seed=0)
    assert report.verdict == "MEASURED"
    for judge in ("popularity", "svd"):
        metric = report.judges[judge]["synthetic"]["recall@10"]
        assert metric.ratio.value == metric.ratio.low == metric.ratio.high == 1
        assert metric.verdict == "no difference"
        assert report.ratio(judge, "recall@10") == 1


def test_independent_items_are_worse_for_svd(roles):
    floor = sample_by_popularity(roles["train"], users=300, seed=9)
    report = measure_utility(floor, **roles, config=CONFIG, seed=0)
    assert report.judges["svd"]["synthetic"]["ndcg@5"].verdict == "worse"
    assert report.ratio("svd", "ndcg@5") == pytest.approx(
        report.ratio("svd", "ndcg@5", arm="popularity_sampler"), abs=0.25
    )


def test_fresh_users_of_the_same_source_make_no_difference(roles):
    report = measure_utility(community_users(users=300, seed=8), **roles, config=CONFIG, seed=0)
    assert report.ratio("svd", "recall@10") == pytest.approx(1, abs=0.1)


def test_fewer_synthetic_users_are_also_held_against_as_many_real_ones(roles):
    report = measure_utility(roles["train"][:100], **roles, config=CONFIG, seed=0)
    assert set(report.judges["svd"]) == {"real", "synthetic", "popularity_sampler", "real_same_size"}


def test_the_mean_is_over_generation_seeds(roles):
    seeds = [community_users(users=300, seed=seed) for seed in (21, 22)]
    choosing, folds = (make_folds(roles[role], config=CONFIG, seed=0) for role in ("validation", "evaluation"))
    real, *ranks = (
        rank_arm("svd", users, folds=folds, validation=choosing, seed=0) for users in (roles["train"], *seeds)
    )
    values = {"real": real[None], "synthetic": np.stack(ranks)}
    together = report_arms({arm: Resampled.of(one, draws=200, seed=0) for arm, one in values.items()})
    alone = [measure_utility(one, **roles, config=CONFIG, seed=0) for one in seeds]
    ratios = [report.ratio("svd", "recall@10") for report in alone]
    assert together["synthetic"]["recall@10"].ratio.value == pytest.approx(np.mean(ratios))
    assert together["real"] == alone[0].judges["svd"]["real"]


def test_the_order_of_users_changes_nothing(roles):
    generator = np.random.default_rng(0)
    synthetic = community_users(users=300, seed=8)
    shuffled = {name: users[generator.permutation(users.shape[0])] for name, users in roles.items()}
    first = measure_utility(synthetic, **roles, config=CONFIG, seed=0)
    again = measure_utility(synthetic[generator.permutation(300)], **shuffled, config=CONFIG, seed=0)
    for arm in ("real", "synthetic"):
        for metric, report in first.judges["svd"][arm].items():
            assert again.judges["svd"][arm][metric].mean.value == pytest.approx(report.mean.value, abs=1e-9)


def test_too_few_evaluation_users_are_inconclusive(roles):
    report = measure_utility(roles["train"], **{**roles, "evaluation": roles["evaluation"][:1]}, config=CONFIG, seed=0)
    assert report.verdict == "INCONCLUSIVE"
    assert report.reason.startswith("1 evaluation users")
    assert report.ratio("svd", "recall@10") is None


def test_the_report_is_plain_json(roles):
    nobody_hits = csr_matrix(([1.0], ([0], [0])), shape=(5, 60), dtype=np.float32)
    report = measure_utility(nobody_hits, **roles, config=CONFIG, seed=0)
    assert json.loads(json.dumps(report.model_dump(mode="json"), allow_nan=False))["evaluation_users"] == 60
    assert type(report).model_validate_json(report.model_dump_json()) == report


def test_every_unusable_matrix_is_named_at_once(roles):
    nobody, fewer_items = csr_matrix((0, 10), dtype=np.float32), roles["evaluation"][:, :10]
    with pytest.raises(DataError) as caught:
        measure_utility(nobody, **{**roles, "evaluation": fewer_items}, config=CONFIG, seed=0)
    assert len(caught.value.problems) == 3
    assert "synthetic users" in str(caught.value)


@pytest.mark.parametrize("judge", ["popularity", "svd", "ease", "ials"])
def test_users_without_items_teach_a_recommender_nothing(roles, judge):
    nothing = csr_matrix((50, 60), dtype=np.float32)
    config = UtilityConfig(judges=(judge,), fold_seeds=2, bootstrap_draws=100)
    reports = [measure_utility(users, **roles, config=config, seed=0) for users in (nothing, roles["train"])]
    assert reports[0].ratio(judge, "ndcg@10") < reports[1].ratio(judge, "ndcg@10")


def test_each_arm_gets_the_penalty_that_suits_it(roles):
    config = UtilityConfig(judges=("ease",), fold_seeds=2, bootstrap_draws=100)
    report = measure_utility(vstack([roles["train"]] * 10, format="csr"), **roles, config=config, seed=0)
    # ten copies at ten times the penalty are the data itself: 3000 and 300, or 1000 and 100
    assert report.ratio("ease", "ndcg@10") == pytest.approx(1, abs=0.02)
