import numpy as np
import pytest
from scipy.sparse import vstack

from sdrm_core.config import UtilityConfig
from sdrm_core.quality.augmentation import measure_augmentation
from sdrm_core.quality.baselines import sample_by_popularity
from sdrm_core.quality.ease import fit_ease, learn_gram
from sdrm_core.quality.panel import SELECTION_METRIC, rank_folds
from sdrm_core.quality.utility import make_folds

from .communities import community_users

SOURCE = {"items": 120, "communities": 12}
CONFIG = UtilityConfig(judges=("svd", "ease"), fold_seeds=2, bootstrap_draws=200)


@pytest.fixture(scope="module")
def roles():
    return {
        "train": community_users(users=40, seed=1, **SOURCE),
        "validation": community_users(users=80, seed=2, **SOURCE),
        "evaluation": community_users(users=80, seed=3, **SOURCE),
    }


def test_fresh_users_of_the_same_source_are_a_gain(roles):
    report = measure_augmentation([community_users(users=400, seed=4, **SOURCE)], **roles, config=CONFIG, seed=0)
    assert report.evaluation_users == 80
    for judge in ("svd", "ease"):
        gain = report.judges[judge].metrics["ndcg@10"]
        assert gain.difference.low > 0
        assert gain.verdict == "better"
        assert report.judges[judge].weight >= 0.3


def test_no_weight_with_other_settings_ranks_better_for_validation_users(roles):
    synthetic = community_users(users=400, seed=4, **SOURCE)
    gain = measure_augmentation([synthetic], **roles, config=CONFIG, seed=0).judges["ease"]
    choosing, judging = (make_folds(roles[role], config=CONFIG, seed=0) for role in ("validation", "evaluation"))
    both, n_users = vstack([roles["train"], synthetic]).tocsr(), (roles["train"].shape[0], synthetic.shape[0])

    def ndcg(penalty, weight, folds):
        gram = learn_gram(both, user_weights=np.repeat([1.0, weight], n_users))
        return rank_folds(fit_ease(gram, penalty=penalty), folds)[:, SELECTION_METRIC].mean()

    options = [(penalty, weight) for penalty in (30, 100, 300, 1000, 3000) for weight in (0.03, 0.1, 0.3, 1)]
    best = max(options, key=lambda option: ndcg(*option, choosing))
    assert gain.weight == best[1]
    alone = max((30, 100, 300, 1000, 3000), key=lambda penalty: ndcg(penalty, 0.0, choosing))
    expected = ndcg(*best, judging) - ndcg(alone, 0.0, judging)
    assert gain.metrics["ndcg@10"].difference.value == pytest.approx(expected)


def test_independent_items_get_a_small_weight_and_no_gain(roles):
    noise = sample_by_popularity(roles["train"], users=400, seed=0)
    report = measure_augmentation([noise], **roles, config=CONFIG, seed=0)
    assert report.judges["svd"].weight <= 0.1
    assert report.judges["svd"].metrics["ndcg@10"].verdict != "better"


def test_a_copy_at_any_weight_changes_the_svd_judge_not_at_all(roles):
    report = measure_augmentation([roles["train"]], **roles, config=CONFIG, seed=0)
    assert report.judges["svd"].metrics["recall@10"].difference.value == pytest.approx(0, abs=1e-9)


def test_several_generation_seeds_are_averaged(roles):
    synthetics = [community_users(users=100, seed=seed, **SOURCE) for seed in (5, 6)]
    report = measure_augmentation(synthetics, **roles, config=CONFIG, seed=0)
    assert np.isfinite(report.judges["ease"].metrics["recall@10"].difference.value)


def test_without_validation_users_the_weight_is_a_middling_one(roles):
    nobody = {**roles, "validation": roles["validation"][:0]}
    assert measure_augmentation([roles["train"]], **nobody, config=CONFIG, seed=0).judges["svd"].weight == 0.3


def test_without_evaluation_users_there_is_nothing_to_report(roles):
    nobody = {**roles, "evaluation": roles["evaluation"][:0]}
    assert measure_augmentation([roles["train"]], **nobody, config=CONFIG, seed=0).judges == {}
