"""Usefulness: one figure that ranks synthetic users by what they teach a recommender."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from sdrm_core.config import UtilityConfig
from sdrm_core.quality.usefulness import usefulness_for


def communities(n_users, *, strength, seed, n_items=40, count=8):
    """Users of two communities; with strength 0 all users are alike."""
    draw = np.random.default_rng(seed)
    is_own = np.arange(n_items) % 2 == np.arange(n_users)[:, None] % 2
    scores = strength * is_own + draw.gumbel(size=(n_users, n_items))
    return csr_matrix((scores >= np.sort(scores)[:, [-count]]).astype(np.float32))


@pytest.fixture
def onlookers():
    return [communities(60, strength=3, seed=number) for number in (1, 2)]


def test_users_with_the_tastes_of_the_onlookers_are_more_useful(onlookers):
    usefulness_of = usefulness_for(onlookers, config=UtilityConfig(), seed=0)
    weak, strong = ([communities(300, strength=strength, seed=3)] * 2 for strength in (0, 3))
    assert usefulness_of(strong) > 1.2 * usefulness_of(weak) > 0
    assert usefulness_of([strong[0], weak[0]]) == pytest.approx(
        sum(usefulness_for([side], config=UtilityConfig(), seed=0)([users]) for side, users in zip(
            onlookers, (strong[0], weak[0]), strict=True))
    )  # fmt: skip
    assert usefulness_of(strong) == usefulness_of(strong)


def test_onlookers_of_few_items_prefer_nothing():
    few = communities(30, strength=3, seed=1, count=2)
    usefulness_of = usefulness_for([few], config=UtilityConfig(), seed=0)
    assert {usefulness_of([communities(50, strength=strength, seed=3)]) for strength in (0, 3)} == {0.0}
