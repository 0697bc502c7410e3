import sys
from typing import get_args

import numpy as np
import pytest

from sdrm_core.config import JudgeName, UtilityConfig
from sdrm_core.errors import ConfigError
from sdrm_core.quality import neural, panel
from sdrm_core.quality.ease import fit_ease, learn_gram
from sdrm_core.quality.panel import SELECTION_METRIC, choose_judge, rank_folds, require_possible
from sdrm_core.quality.utility import make_folds

from .communities import community_users

CONFIG = UtilityConfig(fold_seeds=2)


@pytest.fixture(scope="module")
def train():
    return community_users(users=300, seed=1)


@pytest.fixture(scope="module")
def validation():
    return make_folds(community_users(users=80, seed=2), config=CONFIG, seed=0)


@pytest.mark.parametrize("name", ["popularity", "svd", "ease", "ials", "mlp", "neumf"])
def test_every_judge_ranks_communities_at_least_as_well_as_popularity(name, train, validation, monkeypatch):
    monkeypatch.setattr(neural, "_MAX_CHECKS", 3)
    if name == "ials":
        pytest.importorskip("implicit", reason="the package implicit is optional")
    judge = choose_judge(name, train, validation=validation, seed=0).judge()
    floor = choose_judge("popularity", train, validation=validation, seed=0).judge()
    quality, least = (rank_folds(one, validation)[:, SELECTION_METRIC].mean() for one in (judge, floor))
    assert quality == least if name == "popularity" else quality > 1.2 * least


def test_the_penalty_is_the_best_for_validation_users(train, validation):
    chosen = choose_judge("ease", train, validation=validation, seed=0).judge()
    quality = [
        rank_folds(fit_ease(learn_gram(train), penalty=penalty), validation)[:, SELECTION_METRIC].mean()
        for penalty in (30, 100, 300, 1000, 3000)
    ]
    assert rank_folds(chosen, validation)[:, SELECTION_METRIC].mean() == pytest.approx(max(quality))


def test_other_users_are_learned_from_with_the_settings_chosen_before(validation, monkeypatch):
    monkeypatch.setattr(panel, "_EASE_PENALTIES", (3000.0, 30.0, 10.0))
    few, others = community_users(users=40, seed=5), community_users(users=400, seed=6)
    chosen = choose_judge("ease", few, validation=validation, seed=0)
    penalty = max(
        panel._EASE_PENALTIES,
        key=lambda one: panel.selection_quality(fit_ease(learn_gram(few), penalty=one), validation),
    )
    expected = fit_ease(learn_gram(others), penalty=penalty).item_weights
    np.testing.assert_array_equal(chosen.fit(others).item_weights, expected)
    assert penalty != panel._EASE_PENALTIES[0]


def test_without_validation_users_the_middling_penalty_stands(train):
    nobody = make_folds(train[:0], config=CONFIG, seed=0)
    judge = choose_judge("ease", train, validation=nobody, seed=0).judge()
    np.testing.assert_array_equal(judge.item_weights, fit_ease(learn_gram(train), penalty=300).item_weights)


def test_a_missing_library_is_named_with_the_remedy(train, validation, monkeypatch):
    monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)
    monkeypatch.delitem(sys.modules, "sdrm_core.quality.ials", raising=False)
    with pytest.raises(ConfigError, match=r"sdrm-pipeline\[judges\]"):
        choose_judge("ials", train, validation=validation, seed=0)


@pytest.mark.parametrize("n_items", [None, 100])
def test_every_judge_is_possible_where_its_package_is_there(n_items):
    require_possible(get_args(JudgeName), n_items=n_items)
