"""A small calibration and power suite on simulated people; the large one is tests.benchmarks.privacy_power."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix, vstack

from sdrm_core.config import PrivacyConfig
from sdrm_core.privacy import attacks, closeness
from sdrm_core.privacy import evidence as evidence_module
from sdrm_core.privacy.attacks import among_like, measure_membership, membership_scores
from sdrm_core.privacy.closeness import measure_closeness
from sdrm_core.privacy.evidence import Evidence, RealUsers, gather
from sdrm_core.privacy.gates import judge_membership
from sdrm_core.privacy.near_copies import measure_near_copies
from sdrm_core.privacy.rare_pairs import measure_rare_pairs
from sdrm_core.privacy.similarity import inverse_frequency, nearest, pair_products
from sdrm_core.privacy.statistics import auc
from sdrm_core.privacy.unique_copies import measure_unique_copies
from sdrm_core.privacy.verdicts import Figure, Verdict
from sdrm_core.quality.baselines import sample_by_popularity

DRAWS = 40


def compare(synthetic: csr_matrix, train: csr_matrix, holdout: csr_matrix, *, k_anonymity: int = 1) -> Evidence:
    people = RealUsers.of(train, holdout, config=PrivacyConfig(k_anonymity=k_anonymity), seed=0)
    return gather(synthetic, people)


@pytest.fixture(scope="module")
def evidence(simulate) -> Evidence:
    users = simulate(1300, seed=8)
    return compare(users[:300], users[300:1100], users[1100:])


def with_people(evidence, **changes):
    return replace(evidence, people=replace(evidence.people, **changes))


def relabelled(evidence: Evidence, seed: int) -> Evidence:
    return with_people(evidence, is_train=np.random.default_rng(seed).permutation(evidence.people.is_train))


def test_random_roles_are_significant_no_more_often_than_stated(evidence):
    draw = np.random.default_rng(0)
    p_values = []
    for seed in range(DRAWS):
        null = relabelled(evidence, seed)
        membership = measure_membership(null, draw)
        pairs = measure_rare_pairs(null, k_anonymity=5, draw=draw).odds
        p_values.append([figure.p_value for figure in (*membership.values(), pairs)])
    false_alarms = (np.array(p_values) < 0.1).sum(axis=0)
    assert np.all(false_alarms <= 10), false_alarms  # binomial(40, .1) exceeds 10 once in 250


def test_random_roles_leave_closeness_and_copies_at_chance(evidence):
    draw = np.random.default_rng(1)
    estimates = [measure_closeness(relabelled(evidence, seed), draw)[0] for seed in range(5)]
    assert np.mean([estimate.effect for estimate in estimates]) == pytest.approx(0.5, abs=0.03)
    copies = [measure_near_copies(relabelled(evidence, seed)).p_versus_holdout for seed in range(DRAWS)]
    assert np.mean(np.array(copies) < 0.05) <= 0.15


def test_a_few_held_out_people_are_never_no_answer(simulate):
    users = simulate(1300, seed=8)
    evidence = compare(users[:300], users[300:1269], users[1269:])
    for seed in range(10):  # in two of them the rarest tenth of a half holds no held-out user
        found = measure_membership(evidence, np.random.default_rng(seed))
        assert all(np.isfinite([estimate.effect, estimate.upper]).all() for estimate in found.values())


def some_of_the_items(users: csr_matrix, *, share: float = 0.5, seed: int = 0) -> csr_matrix:
    some = users.copy()
    some.data[np.random.default_rng(seed).random(users.nnz) >= share] = 0
    some.eliminate_zeros()
    return some


def test_the_figures_hardly_hang_on_who_falls_into_which_half(simulate, monkeypatch):
    users = simulate(700, seed=8)
    train, holdout = users[:500], users[500:560]
    evidence = compare(some_of_the_items(train), train, holdout)

    def spread() -> np.ndarray:
        found = [measure_membership(evidence, np.random.default_rng(seed)) for seed in range(12)]
        return np.std([[estimate.effect for estimate in figures.values()] for figures in found], axis=0)

    steady = spread()
    monkeypatch.setattr(attacks, "_MIN_DIVISIONS", 1)
    monkeypatch.setattr(attacks, "_MAX_DIVISIONS", 1)
    assert np.all(steady < 0.5 * spread())


def test_what_is_told_of_people_with_many_items_shows_apart(simulate):
    users = simulate(1600, seed=8)
    train, holdout, fresh = users[:1000], users[1000:1300], users[1300:]
    most_active = some_of_the_items(train[np.diff(train.indptr) >= np.quantile(np.diff(train.indptr), 0.9)])

    def auc_of_the_most_active(release: csr_matrix) -> Figure:
        found = judge_membership(compare(release, train, holdout), PrivacyConfig(), np.random.default_rng(0))
        return next(figure for figure in found.figures if figure.name == "most active auc")

    of_them = auc_of_the_most_active(vstack([fresh, most_active]).tocsr())
    assert (of_them.effect > 0.7, of_them.verdict) == (True, Verdict.FAIL)
    of_nobody = auc_of_the_most_active(fresh)
    assert of_nobody.effect == pytest.approx(0.5, abs=0.1)
    assert of_nobody.verdict != Verdict.FAIL


def test_a_release_that_keeps_away_from_training_people_tells_who_they_are(simulate):
    users = simulate(5400, seed=0)
    train, holdout, fresh = users[:2100], users[2100:2400], users[2400:]
    unlike_them = fresh[np.argsort(nearest(fresh, train).closest, kind="stable")[:2100]]
    found = judge_membership(compare(unlike_them, train, holdout), PrivacyConfig(), np.random.default_rng(0))
    assert found.verdict == Verdict.FAIL


def test_people_are_compared_with_those_who_have_as_many_items():
    activity = np.repeat([7, 3], 20)
    assert among_like(np.r_[0:20, 100:120], activity) == pytest.approx(np.tile((np.arange(20) + 0.5) / 20, 2))
    assert np.ptp(among_like(np.ones(40), activity)) == 0
    assert among_like(np.arange(3), np.array([1, 5, 9])) == pytest.approx([1 / 6, 1 / 2, 5 / 6])  # too few to divide


@pytest.fixture(scope="module")
def uneven(simulate) -> csr_matrix:
    """Users of about 15 and of about 40 items by turns."""
    several = [simulate(1600, seed=seed) for seed in (8, 58, 68)]
    many = (sum(several) > 0).astype(np.float32)
    return vstack([several[0], many]).tocsr()[np.arange(3200).reshape(2, 1600).T.ravel()[:1600]]


def test_a_little_told_of_everybody_shows_among_those_who_have_as_many_items(uneven):
    train, holdout = uneven[:1200], uneven[1200:]
    evidence = compare(some_of_the_items(train, share=0.2, seed=1), train, holdout)
    activity = np.diff(evidence.people.complete.indptr)
    for name, scores in membership_scores(evidence).items():
        anybody, like = (
            auc(values, evidence.people.is_train, evidence.people.taste)
            for values in (scores, among_like(scores, activity))
        )
        assert like.effect > anybody.effect + 0.02, name


def test_all_attacks_together_tell_more_than_the_best_and_of_nobody_nothing(uneven):
    train, holdout, draw = uneven[:1200], uneven[1200:], np.random.default_rng(0)
    leaking = measure_membership(compare(some_of_the_items(train, share=0.2, seed=1), train, holdout), draw)
    assert leaking["auc of all at once"].effect > leaking["auc"].effect
    clean = measure_membership(compare(uneven[:400], uneven[400:1200], uneven[1200:]), draw)
    assert clean["auc of all at once"].effect == pytest.approx(0.5, abs=0.05)


def near_copies_of(user: csr_matrix, n_copies: int) -> csr_matrix:
    """Return copies of one user, a tenth of the items changed in each."""
    rng = np.random.default_rng(0)
    copies = vstack([user] * n_copies).tolil()
    for copy in range(n_copies):
        own, others = copies[copy].rows[0], np.flatnonzero(user.toarray()[0] == 0)
        for item in rng.choice(own, max(1, len(own) // 10), replace=False):
            copies[copy, item] = 0
            copies[copy, rng.choice(others)] = 1
    return csr_matrix(copies)


@pytest.mark.parametrize("n_copies", [12, 20, 60, 150])
def test_however_many_copies_of_a_single_person_are_found(simulate, n_copies):
    users = simulate(2000, seed=21)
    train, holdout, fresh = users[:1200], users[1200:1600], users[1600:]
    victim = train[np.argmax(np.diff(train.indptr))]
    near = measure_near_copies(
        compare(vstack([fresh[n_copies:], near_copies_of(victim, n_copies)]).tocsr(), train, holdout)
    )
    assert near.p_one_person < 0.01
    assert near.share.effect > 0.5 * n_copies / fresh.shape[0]
    exact = measure_unique_copies(compare(vstack([fresh[n_copies:], *[victim] * n_copies]).tocsr(), train, holdout))
    assert exact.p_one_person < 1e-6


def test_people_do_not_strike_a_single_person_more_than_people_do(evidence):
    assert measure_near_copies(evidence).p_one_person > 0.05
    assert measure_unique_copies(evidence).p_one_person > 0.05


@pytest.mark.parametrize(("n_train", "n_holdout"), [(120, 30), (300, 60)])
def test_near_copies_among_a_few_people_are_seen(simulate, n_train, n_holdout):
    users = simulate(n_train + n_holdout + 200, seed=22)
    train, holdout, fresh = np.split(np.arange(users.shape[0]), [n_train, n_train + n_holdout])
    planted = vstack([users[fresh[20:]], *(near_copies_of(users[user], 1) for user in train[:20])]).tocsr()
    found = measure_near_copies(compare(planted, users[train], users[holdout]))
    assert found.share.effect > 0.05


def test_the_control_narrows_the_interval(simulate):
    users = simulate(3900, seed=8)  # so many that what the control itself costs is little
    evidence = compare(users[:900], users[900:3300], users[3300:])
    blind = with_people(evidence, taste=np.zeros((len(evidence.people.is_train), 1)))
    with_control = measure_membership(evidence, np.random.default_rng(0))["auc"]
    without = measure_membership(blind, np.random.default_rng(0))["auc"]
    assert with_control.standard_error < 0.9 * without.standard_error


def test_taste_narrows_the_interval_of_closeness(simulate):
    users = simulate(1300, seed=0)
    found = compare(sample_by_popularity(users, users=400, seed=0), users[:1000], users[1000:])
    blind = with_people(found, taste=np.zeros((len(found.people.is_train), 1)))
    with_taste, _ = measure_closeness(found, np.random.default_rng(0))
    without, _ = measure_closeness(blind, np.random.default_rng(0))
    assert with_taste.standard_error < 0.95 * without.standard_error


@pytest.mark.parametrize("seed", range(8))
def test_synthetic_users_who_share_nothing_with_anybody_are_no_closer_to_one_side(simulate, seed):
    users = simulate(300, seed=seed)
    strangers = csr_matrix((20, users.shape[1]), dtype=np.float32)
    estimate, _ = measure_closeness(compare(strangers, users[:200], users[200:]), np.random.default_rng(seed))
    assert (estimate.effect, estimate.p_value) == (pytest.approx(0.5), 1.0)


def test_closeness_uses_no_more_threads_than_it_may_and_hangs_on_none(evidence, monkeypatch):
    before, threads, share_of = measure_closeness(evidence, np.random.default_rng(0)), set(), closeness._share
    monkeypatch.setattr(closeness, "usable_cores", lambda: 1)
    monkeypatch.setattr(closeness, "_share", lambda *given: threads.add(threading.get_ident()) or share_of(*given))
    assert measure_closeness(evidence, np.random.default_rng(0)) == before
    assert len(threads) == 1


def test_as_many_training_users_are_compared_as_are_held_out():
    found = compare(csr_matrix(np.eye(1, 5)), csr_matrix(np.ones((3, 5))), csr_matrix(np.ones((2, 5))))
    first, second, third, held_out, _ = np.argsort(np.where(found.people.is_train, 0, 1), kind="stable")
    index = np.array([[first, held_out, -1]] * 2 + [[second, third, held_out]] * 3, np.int32)
    known = replace(found.people.complete_to_complete, index=index, similarity=np.array([[0.9, 0.8, 0.7]] * 5))
    _, share = measure_closeness(with_people(found, complete_to_complete=known), np.random.default_rng(0))
    assert share == pytest.approx((2 * 2 / 3 + 3) / 5)  # two of three are: a single one likely, one of two for sure


def test_copies_of_sets_that_several_people_hold_betray_nobody():
    rows = np.zeros((4, 9), np.float32)
    rows[:2, :5] = 1  # a popular set: two holders
    rows[2, 2:8] = 1  # held by one training user
    rows[3, 3:8] = 1  # held by the holdout user
    real = csr_matrix(rows)
    synthetic = csr_matrix(rows[[0, 0, 2]])
    found = compare(synthetic, real[:3], real[3:])
    copies = measure_unique_copies(found)
    assert copies.share.effect == pytest.approx(1 / 3 - 2 / 4 * 3 / 4)  # less people's whose twin is a training user
    assert copies.real_rate == 2 / 4
    assert copies.p_versus_holdout == pytest.approx(
        1 / 2
    )  # the one person struck was trained on, as is one of two who alone have a set


def test_rare_pairs_of_hardly_anybody_tell_nothing(simulate):
    users = simulate(10, seed=3)
    found = measure_rare_pairs(compare(users[:1], users[:6], users[6:]), k_anonymity=5, draw=np.random.default_rng(0))
    assert found.n_users == 10
    assert (found.odds.upper, found.odds.p_value) == (pytest.approx(10), 1)


def test_rare_pairs_of_few_held_out_people_lose_certainty_and_none_of_the_odds(simulate):
    users = simulate(1300, seed=8)
    released = users[:300]  # half of whom are "trained on": half of their pairs are exposed, the others' by chance
    few = [
        measure_rare_pairs(
            compare(released, users[np.r_[:150, 400:450]], users[np.r_[300:400, 450 : 450 + n_holdout]]),
            k_anonymity=5,
            draw=np.random.default_rng(0),
        ).odds
        for n_holdout in (0, 800)
    ]
    assert few[0].effect == pytest.approx(few[1].effect, rel=0.3)
    assert few[0].p_value < 1e-6


def test_an_item_counts_only_if_k_others_have_it():
    train = csr_matrix(np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1]], np.float32))
    holdout = csr_matrix(np.array([[1, 1, 1]], np.float32))
    found = compare(holdout, train, holdout, k_anonymity=2)
    by_train = found.people.real[found.people.is_train].toarray()
    assert by_train[:, 0].tolist() == [1, 1, 1]  # three training holders: two others for each
    assert by_train[:, 1].tolist() == [0, 0, 0]  # two: only one other
    assert found.people.real[~found.people.is_train].toarray().tolist() == [
        [1, 1, 0]
    ]  # two training holders are two others
    assert found.synthetic.toarray().tolist() == [[1, 1, 0]]


def test_the_fewer_are_held_out_the_longer_a_list_of_neighbours_reaches(simulate):
    users = simulate(100, seed=0)
    found = RealUsers.of(users[:80], users[80:], config=PrivacyConfig(), seed=0)
    assert found.complete_to_complete.index.shape == (100, 35)  # seven held-out users among them, on average


def test_who_shares_a_rare_item_is_closer_where_rare_items_weigh_more():
    train = csr_matrix(np.array([[1, 1]] * 2 + [[1, 0]] * 4, np.float32))
    found = compare(csr_matrix(np.array([[0, 1]], np.float32)), train, train[5:])
    has_both = np.diff(found.people.real.indptr) == 2
    assert (found.real_to_synthetic.closest[has_both] == 1 / 2).all()
    assert (found.rare_to_synthetic[has_both] > 1 / 2).all()


def test_the_scores_of_each_attack_by_hand():
    train = csr_matrix(np.array([[1, 1, 0]] * 2 + [[0, 1, 1]] * 2, np.float32))
    evidence = compare(train[:1], train, csr_matrix(np.array([[1, 0, 1]], np.float32)))
    order = np.argsort(evidence.people.train_row)  # the held-out user, two who are copied, two others
    normal = (1 + 3 / 3**4) / 4  # of four others one is equal, three share one of three items
    weight = inverse_frequency(evidence.people.complete)
    expected = {
        "nearest": (1, 1 / 3, 1 / 3),
        "nearest less reference": (0, 1 / 3 - 1, 0),
        "density ratio": (np.log(1 / normal), np.log(1 / 3**4 / normal), 0),
        "rare items": (1, weight[1] / weight.sum(), weight[0] / weight.sum()),
    }
    scores = membership_scores(evidence)
    assert scores.keys() == expected.keys()
    for name, (copied, other, held_out) in expected.items():
        assert scores[name][order] == pytest.approx([held_out, copied, copied, other, other]), name


def test_a_user_of_more_items_has_no_rarer_ones():
    train = csr_matrix(np.array([[1, 1, 1, 0, 0], [0, 0, 0, 1, 0]], np.float32))
    holdout = csr_matrix(np.array([[0, 0, 0, 0, 1]], np.float32))
    assert np.ptp(compare(train, train, holdout).people.rarity) == pytest.approx(0)


def test_training_users_have_the_row_they_were_given_and_held_out_ones_none(simulate):
    users = simulate(100, seed=0)
    found = RealUsers.of(users[:80], users[80:], config=PrivacyConfig(), seed=0)
    assert (found.train_row[~found.is_train] == -1).all()
    assert (users[found.train_row[found.is_train]] != found.complete[found.is_train]).nnz == 0


def test_each_control_tells_people_apart(evidence):
    assert (np.ptp(evidence.people.taste, axis=0) > 0.5).all()


def test_half_of_the_people_cost_a_quarter_and_half_of_them_are_held_out(simulate, monkeypatch):
    users = simulate(1000, seed=0)
    limit = pair_products(users, users) / 4
    monkeypatch.setattr(evidence_module, "SUBSET_USERS", 60)
    some = RealUsers.of(users[:500], users[500:], config=PrivacyConfig(max_pair_products=limit), seed=0)
    assert (some.is_train.sum(), (~some.is_train).sum()) == (250, 250)
    assert pair_products(some.complete, some.complete) == pytest.approx(limit, rel=0.15)
