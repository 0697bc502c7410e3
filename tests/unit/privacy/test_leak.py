"""The figure that settings are chosen by: small for people like any other, without bound for copies."""

from math import inf, nan

import numpy as np
import pytest
from scipy.sparse import vstack

from sdrm_core.config import PrivacyConfig
from sdrm_core.errors import DataError
from sdrm_core.privacy import evidence, gates, leak
from sdrm_core.privacy.leak import leak_against
from sdrm_core.privacy.statistics import Estimate
from sdrm_core.privacy.verdicts import Figure


@pytest.fixture(scope="module")
def people(simulate):
    users = simulate(1700, seed=12)
    return {"train": users[:900], "onlookers": users[900:1300], "fresh": users[1300:]}


def measure(people, *, config=PrivacyConfig(), n_train=None, **changes):  # noqa: B008 - frozen
    """Return what judges synthetic users of one model, trained on ``train``; of as many as that, unless said."""
    train, onlookers = ({**people, **changes}[name] for name in ("train", "onlookers"))
    leak_of = leak_against([(train, onlookers)], n_train=n_train or train.shape[0], config=config, seed=0)
    return leak_of and (lambda synthetic: leak_of([synthetic]))


def parts_of(users, *, one_of):
    """Return users left with one item of so many."""
    parts = users.copy()
    parts.data[np.arange(parts.nnz) % one_of > 0] = 0
    parts.eliminate_zeros()
    return parts


def leak_of(synthetic, people, **changes):
    return measure(people, **changes)(synthetic).share


def test_people_nobody_has_seen_leak_nothing(people):
    assert leak_of(people["fresh"], people) < 1


@pytest.mark.parametrize(("most", "configured"), [(1.0, 2e11), (2e10, 1.0)])
def test_of_very_many_people_some_are_compared(people, monkeypatch, most, configured):
    monkeypatch.setattr(evidence, "SUBSET_USERS", 200)
    monkeypatch.setattr(leak, "_MAX_PAIR_PRODUCTS", most)
    config = PrivacyConfig(max_pair_products=configured)
    limited = leak_against([(people["train"], people["onlookers"])], n_train=900, config=config, seed=0)
    (compared,) = limited.keywords["people"]
    assert compared.real.shape[0] == 200
    assert limited([people["fresh"]]).share < inf


def test_copies_leak_without_bound(people):
    assert leak_of(people["train"][:200], people) == inf


def test_half_a_copy_leaks_more_than_is_tolerated(people):
    halves = parts_of(people["train"][:400], one_of=2)
    assert leak_of(halves, people) > 1


def test_people_with_many_items_leak_more_where_a_release_holds_most_of_theirs(people):
    leak_at = measure(people)
    counts = np.diff(people["train"].indptr)

    def leak_of_parts(of_whom):
        parts = people["train"][of_whom].copy()
        parts.data[::3] = 0
        parts.eliminate_zeros()
        return leak_at(vstack([parts, people["fresh"]]).tocsr())

    assert leak_of_parts(counts > np.quantile(counts, 0.7)).rises_with_activity
    assert not leak_of_parts(np.arange(len(counts)) % 3 == 0).rises_with_activity
    assert not leak_at(people["fresh"]).rises_with_activity


def test_too_few_onlookers_judge_nothing(people):
    assert measure(people, onlookers=people["onlookers"][:29]) is None


def test_of_several_models_the_mean_counts(people):
    thirds, copies = parts_of(people["train"][:400], one_of=3), people["train"][:200]
    side = (people["train"], people["onlookers"])
    of_two = leak_against([side, side], n_train=900, config=PrivacyConfig(), seed=0)
    fewer = vstack([thirds[:250], people["fresh"][:150]]).tocsr()
    more_alone, less_alone = (leak_of(users, people) for users in (thirds, fewer))
    assert of_two([thirds, thirds]).share == pytest.approx(more_alone)
    assert 0 < less_alone < of_two([thirds, fewer]).share < more_alone
    assert of_two([people["fresh"], copies]).share == inf  # copies are not averaged away
    few = (people["train"], people["onlookers"][:29])
    assert leak_against([side, few], n_train=900, config=PrivacyConfig(), seed=0) is None


def test_a_model_of_fewer_gives_away_more_than_one_of_all_will(people):
    thirds = parts_of(people["train"][:400], one_of=3)
    of_as_many, of_twice_as_many = (measure(people, n_train=n_train)(thirds) for n_train in (900, 1800))
    assert 0 < of_twice_as_many.share < of_as_many.share


def nothing_finite(*_):
    names = ("auc", "tpr", "rare taste auc", "auc turned round", "most active auc", "auc of all at once")
    return {name: Estimate(nan, nan, nan, nan) for name in names}


def no_solution(*_):
    raise np.linalg.LinAlgError("singular")


def no_memory(*_):
    raise RuntimeError("out of memory")  # as torch says it of a GPU


@pytest.mark.parametrize(("name", "measure"), [
    ("measure_membership", nothing_finite), ("measure_membership", no_solution), ("measure_completion", no_memory),
    ("measure_unique_copies", no_solution), ("measure_near_copies", no_memory),
])  # fmt: skip
def test_what_cannot_be_computed_clears_nobody(people, monkeypatch, name, measure):
    monkeypatch.setattr(gates, name, measure)
    assert leak_of(people["fresh"], people) == inf


def test_a_few_people_show_no_leak_and_yet_are_not_sure(people):
    leak = measure(people, onlookers=people["onlookers"][100:140])(people["fresh"])
    assert leak.share < 1
    assert leak.bound == inf


def test_what_does_not_show_is_bounded_where_the_gates_pass(people):
    wide = PrivacyConfig(margins={"rare_taste_auc": 0.9, "most_active_auc": 0.9, "membership_tpr": 0.5})
    leak = measure(people, config=wide)(people["fresh"])
    assert leak.share == 0
    assert 0.3 < leak.bound < inf


def test_where_nothing_is_tolerated_the_least_leak_is_without_bound():
    estimate = Estimate(0.51, 0.50, 0.52, 0.001)
    assert Figure.judged("auc", estimate, n=9, margin=0.5, null=0.5).share_of_tolerance == inf
    assert Figure.judged("auc", estimate, n=9, margin=0.6, null=0.5).share_of_tolerance == pytest.approx(0.2)


def test_other_catalogues_are_refused(people):
    with pytest.raises(DataError, match="onlookers"):
        leak_of(people["fresh"], people, onlookers=people["onlookers"][:, :-1])


def test_a_gate_of_copies_that_is_not_sure_allows_no_certainty(people):
    strict = PrivacyConfig(margins={"near_copies": 0.005})  # less than what is that close among people by definition
    leak = measure(people, config=strict)(people["fresh"])
    assert leak.share < 1
    assert leak.bound == inf
