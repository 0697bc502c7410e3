"""Copies of people who have as few items as anybody."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix, vstack
from scipy.stats import poisson

from sdrm_core.config import PrivacyConfig
from sdrm_core.data.anonymity import is_publishable
from sdrm_core.data.matrix import keep_items
from sdrm_core.privacy import gates
from sdrm_core.privacy.copies import Copies
from sdrm_core.privacy.evidence import RealUsers, gather
from sdrm_core.privacy.gates import judge_near_copies, judge_unique_copies
from sdrm_core.privacy.near_copies import measure_contained_records, measure_near_copies
from sdrm_core.privacy.statistics import Estimate, struck_p_value
from sdrm_core.privacy.unique_copies import measure_unique_copies
from sdrm_core.privacy.verdicts import Verdict

N_ITEMS = 400


def users(n_users, rng, *, least=6):
    """Return users of whom 45 % have ``least`` items, the others more."""
    counts = np.where(rng.random(n_users) < 0.45, least, rng.integers(least + 1, 30, n_users))
    items = np.concatenate([np.sort(rng.choice(N_ITEMS, count, replace=False)) for count in counts])
    return csr_matrix((np.ones(len(items), np.float32), items, np.r_[0, np.cumsum(counts)]), shape=(n_users, N_ITEMS))


def of_few_items(n_users, rng):
    """Return users of four items each."""
    rows = [rng.choice(N_ITEMS, 4, replace=False) for _ in range(n_users)]
    return of_items(rows, n_items=N_ITEMS)


def without_their_first_item(some):
    starts = some.indptr[:-1]
    return csr_matrix(
        (np.delete(some.data, starts), np.delete(some.indices, starts), some.indptr - np.arange(len(some.indptr))),
        shape=some.shape,
    )


def verdict_of(synthetic, train, holdout):
    people = RealUsers.of(train, holdout, config=PrivacyConfig(), seed=0)
    return judge_near_copies(gather(synthetic, people), PrivacyConfig())


@pytest.mark.parametrize("seed", range(3))
def test_a_copy_of_the_fewest_items_less_one_is_a_near_copy(seed):
    rng = np.random.default_rng(0)
    train, holdout, fresh = (users(n_users, rng) for n_users in (1400, 200, 1400))
    smallest = np.random.default_rng(seed).permutation(np.flatnonzero(np.diff(train.indptr) == 6))[:28]
    planted = vstack([fresh[28:], without_their_first_item(train[smallest])]).tocsr()
    assert verdict_of(planted, train, holdout).verdict == Verdict.FAIL


@pytest.mark.parametrize("seed", range(3))
def test_people_of_too_few_items_to_be_recognised_hide_no_copies_of_others(seed):
    rng = np.random.default_rng(seed)
    train, holdout, fresh = (
        vstack([users(n_users, rng, least=8), of_few_items(3 * n_users, rng)]).tocsr() for n_users in (750, 200, 500)
    )
    planted = vstack([without_their_first_item(train[:12]), fresh[12:]]).tocsr()
    assert verdict_of(planted, train, holdout).verdict == Verdict.FAIL


@pytest.mark.parametrize("n_smaller", [0, 3])
def test_a_few_people_of_fewer_items_hide_no_copies(n_smaller):
    rng = np.random.default_rng(0)
    train, holdout, fresh = (users(n_users, rng, least=8) for n_users in (3500, 500, 3000))
    eights = np.flatnonzero(np.diff(train.indptr) == 8)
    planted = vstack([fresh[60:], without_their_first_item(train[eights[-60:]])]).tocsr()
    smaller = without_their_first_item(train[eights[:n_smaller]])
    kept = np.setdiff1d(np.arange(3500), eights[:n_smaller])
    assert verdict_of(planted, vstack([train[kept], smaller]).tocsr(), holdout).verdict == Verdict.FAIL


@pytest.mark.parametrize(
    ("n_train", "n_holdout", "struck_train", "struck_holdout", "is_proof"),
    [
        (700, 100, 30, 0, False),  # chance: as likely as not that none of 30 is held out
        (7_000, 1_000, 60, 0, True),
        (105_000, 15_000, 6_000, 700, False),  # significant, and less than membership tolerates
        (105_000, 15_000, 9_000, 700, True),
    ],
)
def test_it_takes_odds_that_tell_a_person_and_people_enough_to_prove_them(
    n_train, n_holdout, struck_train, struck_holdout, is_proof
):
    is_train = np.arange(n_train + n_holdout) < n_train
    struck = np.r_[np.arange(struck_train), n_train + np.arange(struck_holdout)]
    assert (struck_p_value(struck, is_train) < 0.01) == is_proof


@pytest.fixture(scope="module")
def some():
    """Return training users, held-out users and fresh ones."""
    rng = np.random.default_rng(0)
    train, holdout, fresh = (users(n_users, rng) for n_users in (1000, 200, 400))
    return train, holdout, fresh


def gathered(synthetic, train, holdout):
    return gather(synthetic, RealUsers.of(train, holdout, config=PrivacyConfig(), seed=0))


@pytest.fixture(scope="module")
def evidence(some):
    train, holdout, fresh = some
    return gathered(fresh, train, holdout)


def test_many_copies_of_one_person_fail_though_nobody_else_is_copied(some):
    train, holdout, fresh = some
    victim = train[int(np.argmax(np.diff(train.indptr)))]
    evidence = gathered(vstack([fresh[20:], *[victim] * 20]).tocsr(), train, holdout)
    for judge in (judge_unique_copies, judge_near_copies):
        assert judge(evidence, PrivacyConfig()).verdict == Verdict.FAIL


def parts_of(user, n_parts, rng):
    """Return users who have two thirds of a user's items, and half as many others."""
    own, others = user.indices, np.setdiff1d(np.arange(user.shape[1]), user.indices)
    third = len(own) // 3
    return of_items(
        [
            np.sort(np.r_[rng.permutation(own)[third:], rng.choice(others, third, replace=False)])
            for _ in range(n_parts)
        ],
        n_items=user.shape[1],
    )


@pytest.mark.parametrize(("is_near_somebody", "is_found"), [(True, False), (False, True)])
def test_a_person_whom_people_are_near_to_is_struck_by_chance(some, is_near_somebody, is_found):
    train, holdout, fresh = some
    rng, victim = np.random.default_rng(1), train[int(np.argmax(np.diff(train.indptr)))]
    parts = parts_of(victim, 21, rng)
    people = vstack([train, parts[20]]).tocsr() if is_near_somebody else train
    copies = measure_near_copies(gathered(vstack([fresh[20:], parts[:20]]).tocsr(), people, holdout))
    assert (copies.p_one_person < 0.01) == is_found


def in_packs(people, share, packs, rng):
    """Return the users with a share of them replaced by one of the packs, a twentieth of its items exchanged."""
    rows = [people[user].indices for user in range(people.shape[0])]
    for user in np.flatnonzero(rng.random(len(rows)) < share):
        rows[user] = altered(packs[rng.integers(len(packs))], 0.05, rng)
    return of_items(rows, n_items=people.shape[1])


def altered(items, share, rng):
    """Return the items with a share of them exchanged for others."""
    n_kept = len(items) - int(np.ceil(share * len(items)))
    others = np.setdiff1d(np.arange(N_ITEMS), items)
    return np.sort(np.r_[rng.permutation(items)[:n_kept], rng.choice(others, len(items) - n_kept, replace=False)])


def of_any_size(n_users, rng):
    """Return users of 10 to 80 items, the first of them more popular."""
    popularity = 1 / np.sqrt(np.arange(1, N_ITEMS + 1))
    rows = [
        np.sort(rng.choice(N_ITEMS, rng.integers(10, 80), replace=False, p=popularity / popularity.sum()))
        for _ in range(n_users)
    ]
    return of_items(rows, n_items=N_ITEMS)


@pytest.mark.parametrize(("share", "n_copies", "verdict"), [
    (0.0, 28, Verdict.FAIL), (0.1, 28, Verdict.FAIL), (0.1, 0, Verdict.PASS),
])  # fmt: skip
def test_crowds_of_people_who_are_alike_hide_no_copies_of_others(share, n_copies, verdict):
    """Starter packs, bots, default baskets: it must not look normal to be near to somebody."""
    rng = np.random.default_rng(0)
    packs = [rng.choice(N_ITEMS, size, replace=False) for size in (12, 20, 30, 40, 50, 60, 70)]
    alone = of_any_size(1400, rng)
    train, holdout, fresh = (
        in_packs(some, share, packs, rng) for some in (alone, of_any_size(300, rng), of_any_size(1400, rng))
    )
    unique = np.flatnonzero((train != alone).sum(axis=1) == 0)[:n_copies]
    copies = [altered(train[user].indices, 0.1, rng) for user in unique]
    release = vstack([fresh[n_copies:], *([of_items(copies, n_items=N_ITEMS)] if copies else [])]).tocsr()
    assert verdict_of(release, train, holdout).verdict == verdict


@pytest.mark.parametrize("n_copies", [0, 40])
def test_where_most_people_are_in_crowds_nothing_passes(n_copies):
    """A small, dense catalogue: everybody has most of the same thirty items."""
    rng = np.random.default_rng(0)

    def people(n_users):
        has = rng.random((n_users, N_ITEMS)) < np.where(np.arange(N_ITEMS) < 30, 0.9, 0.01)
        return of_items([np.flatnonzero(row) for row in has], n_items=N_ITEMS)

    train, holdout, fresh = people(1400), people(300), people(1400)
    copies = [altered(train[user].indices, 0.1, rng) for user in range(n_copies)]
    release = vstack([fresh[n_copies:], *([of_items(copies, n_items=N_ITEMS)] if copies else [])]).tocsr()
    verdict = verdict_of(release, train, holdout)
    assert verdict.verdict == Verdict.INCONCLUSIVE
    assert "so like one another" in verdict.sentence


def test_synthetic_users_with_a_part_of_what_a_crowd_has_copy_nobody_with_another_part():
    rng = np.random.default_rng(0)
    basket, others = np.arange(8), np.arange(8, N_ITEMS)

    def parts(n_users, n_of_basket):
        rows = [
            np.sort(np.r_[rng.choice(basket, n_of_basket, replace=False), rng.choice(others, 8 - n_of_basket)])
            for _ in range(n_users)
        ]
        return of_items([np.unique(row) for row in rows], n_items=N_ITEMS)

    train = vstack([of_any_size(900, rng), parts(200, 8), parts(1, 6)]).tocsr()
    release = vstack([of_any_size(800, rng), parts(100, 6)]).tocsr()
    assert verdict_of(release, train, of_any_size(200, rng)).verdict == Verdict.PASS


def test_where_every_tenth_person_has_a_near_twin_nobody_can_tell_near_copies():
    rng = np.random.default_rng(0)
    train, holdout, fresh = (of_any_size(n_users, rng) for n_users in (1400, 300, 1400))
    twins = [altered(train[user].indices, 0.05, rng) for user in range(140)]
    train = vstack([train, of_items(twins, n_items=N_ITEMS)]).tocsr()
    verdict = verdict_of(fresh, train, holdout)
    assert verdict.verdict == Verdict.INCONCLUSIVE
    assert "so like one another" in verdict.sentence


def people_of_rare_items(n_users, rng, *, n_items=1200):
    """Return users of whom most items are had by hardly anybody else, in twenty groups of taste."""
    popularity = 1 / np.arange(1, n_items + 1) ** 0.7
    rows = []
    for group in rng.integers(20, size=n_users):
        liking = popularity * np.where(np.arange(n_items) % 20 == group, 40, 1)
        n_own = 6 + rng.geometric(0.2)
        rows.append(np.sort(rng.choice(n_items, n_own, replace=False, p=liking / liking.sum())))
    return of_items(rows, n_items=n_items)


def of_items(rows, *, n_items):
    items = np.concatenate(rows)
    indptr = np.r_[0, np.cumsum([len(row) for row in rows])]
    return csr_matrix((np.ones(len(items), np.float32), items, indptr), shape=(len(rows), n_items))


def as_published(users, train):
    published = keep_items(users, is_publishable(train, k_anonymity=5))
    return published[np.diff(published.indptr) > 0]


def padded(rows, *, times, popularity, rng):
    """Return users with all items of a row, and so many others that they have ``times`` as many."""
    users = []
    for items in rows:
        weights = popularity / np.delete(popularity, items).sum()
        weights[items] = 0
        users.append(
            np.sort(np.r_[items, rng.choice(len(weights), (times - 1) * len(items), replace=False, p=weights)])
        )
    return of_items(users, n_items=len(popularity))


@pytest.mark.parametrize("times", [3, 5])
def test_records_within_longer_ones_do_not_pass_and_more_are_never_judged_milder(times):
    rng = np.random.default_rng(0)
    train, holdout, fresh = (people_of_rare_items(n_users, rng) for n_users in (1400, 300, 1400))
    train = keep_items(train, is_publishable(train, k_anonymity=5))
    long = np.flatnonzero(np.diff(train.indptr) >= 8)[:100]
    popularity = np.bincount(train.indices, minlength=1200).astype(float)
    planted = padded([train[user].indices for user in long], times=times, popularity=popularity, rng=rng)
    fresh = as_published(fresh, train)
    verdicts = [
        verdict_of(vstack([fresh[n:], planted[:n]]).tocsr(), train, holdout).verdict for n in (0, 20, 50, len(long))
    ]
    assert verdicts == [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL, Verdict.FAIL]


def test_many_longer_records_around_one_person_fail_though_nobody_else_is_copied():
    rng = np.random.default_rng(0)
    train, holdout, fresh = (people_of_rare_items(n_users, rng) for n_users in (1400, 300, 1400))
    train = keep_items(train, is_publishable(train, k_anonymity=5))
    victim = train[int(np.argmax(np.diff(train.indptr)))].indices
    popularity = np.bincount(train.indices, minlength=1200).astype(float)
    planted = padded([victim] * 20, times=3, popularity=popularity, rng=rng)
    release = vstack([as_published(fresh, train)[20:], planted]).tocsr()
    assert measure_contained_records(gathered(release, train, holdout)).p_one_person < 0.01
    assert verdict_of(release, train, holdout).verdict == Verdict.FAIL


def test_who_has_fewer_than_eight_items_or_is_in_a_crowd_is_not_looked_for_within_others(some):
    train, holdout, _ = some
    sevens = vstack([train[np.diff(train.indptr) >= 8], without_their_first_item(train[np.diff(train.indptr) == 8])])
    packs = of_items([np.arange(n, n + 20) for n in range(3)], n_items=N_ITEMS)
    people = RealUsers.of(vstack([packs, sevens]).tocsr(), holdout, config=PrivacyConfig(k_anonymity=1), seed=0)
    n_items = np.diff(people.published.indptr)
    assert set(people.train_row[people.in_crowd]) == {0, 1, 2}
    assert np.array_equal(np.diff(people.findable.indptr) > 0, (n_items >= 8) & ~people.in_crowd)


def test_where_every_tenth_person_is_within_another_nobody_can_tell_contained_records():
    """Accounts whose items are all counted in a second, larger one."""
    rng = np.random.default_rng(0)
    train, holdout, fresh = (people_of_rare_items(n_users, rng) for n_users in (1400, 300, 1400))
    popularity = np.bincount(train.indices, minlength=1200).astype(float) + 1
    long = np.flatnonzero(np.diff(train.indptr) >= 8)[:140]
    larger = padded([train[user].indices for user in long], times=3, popularity=popularity, rng=rng)
    release, people = as_published(fresh, train), vstack([train, larger]).tocsr()
    assert measure_contained_records(gathered(release, people, holdout)).is_blind


def test_people_without_their_rare_items_do_not_look_like_copies_beside_people_with_theirs():
    users = people_of_rare_items(1200, np.random.default_rng(0))
    assert (np.bincount(users[:600].indices, minlength=1200) < 5).mean() > 0.5
    confirmed, alarms = 0, 0
    for seed in range(10):
        train, holdout, fresh = np.split(np.random.default_rng(seed).permutation(1200), [600, 700])
        found = measure_near_copies(gathered(as_published(users[fresh], users[train]), users[train], users[holdout]))
        confirmed += found.confirmed
        alarms += found.p_versus_holdout < 0.1
    assert confirmed <= 1
    assert alarms <= 3


@pytest.mark.parametrize("seed", range(3))
def test_who_has_rare_items_besides_what_many_have_is_not_struck_by_those_many(seed):
    rng = np.random.default_rng(seed)

    def people(n_users):
        users = people_of_rare_items(n_users, rng)
        rows = np.split(users.indices, users.indptr[1:-1])
        return of_items(
            [[*range(8), 900 + n % 250] if n % 20 == 0 else row for n, row in enumerate(rows)], n_items=1200
        )

    train, holdout, fresh = people(600), people(100), people(600)
    assert measure_near_copies(gathered(as_published(fresh, train), train, holdout)).p_one_person > 0.05


def buyers(n_users, rng, *, n_of_set):
    """Return users every third of whom bought one of 300 sets and nothing else."""
    sets = [np.sort(np.random.default_rng(n).choice(N_ITEMS, n_of_set, replace=False)) for n in range(300)]
    often = 1 / np.arange(1, 301)
    others = users(n_users, rng)
    rows = np.split(others.indices, others.indptr[1:-1])
    bought = rng.choice(300, n_users, p=often / often.sum())
    return of_items([sets[bought[n]] if n % 3 == 0 else row for n, row in enumerate(rows)], n_items=N_ITEMS)


@pytest.mark.parametrize("n_of_set", [7, 12])
@pytest.mark.parametrize("times", [1, 10])
def test_what_people_buy_as_a_set_is_nobodys_copy_however_many_are_drawn(times, n_of_set):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        release, train, holdout = (buyers(n, rng, n_of_set=n_of_set) for n in (700 * times, 700, 100))
        assert measure_unique_copies(gathered(release, train, holdout)).p_one_person > 0.01


@pytest.mark.parametrize(("n_items", "n_copies"), [(11, 25), (29, 8)])
def test_many_copies_of_one_long_record_fail_also_where_people_buy_long_sets(n_items, n_copies):
    """Of a record as long as the sets it takes more copies than of a longer one."""
    rng = np.random.default_rng(0)
    train, holdout, fresh = (buyers(n, rng, n_of_set=12) for n in (700, 100, 700))
    victim = train[np.flatnonzero(np.diff(train.indptr) == n_items)[0]]
    for some, is_found in ((5, False), (n_copies, True)):
        release = vstack([fresh[some:], *[victim] * some]).tocsr()
        copies = measure_unique_copies(gathered(release, train, holdout))
        assert (copies.p_one_person < 0.01) == is_found


def unique_copies_by_hand(synthetic, train, holdout):
    """Measure unique copies among users given as lists of nine zeros and ones, every item of which is publishable."""
    matrices = [csr_matrix(np.array(some, dtype=np.float32)) for some in (synthetic, train, holdout)]
    people = RealUsers.of(*matrices[1:], config=PrivacyConfig(k_anonymity=1), seed=0)
    return measure_unique_copies(gather(matrices[0], people))


FIRST_FIVE, LAST_FIVE, MIDDLE = [1] * 5 + [0] * 4, [0] * 4 + [1] * 5, [0] * 2 + [1] * 5 + [0] * 2
FIRST_TWO, ALL = [1] * 2 + [0] * 7, [1] * 9


def test_of_few_items_nobody_is_a_copy_though_one_person_alone_has_so_few():
    copies = unique_copies_by_hand([FIRST_TWO, [0] * 7 + [1] * 2], [FIRST_TWO, ALL, FIRST_FIVE], [LAST_FIVE])
    assert (copies.share.effect, copies.p_one_person) == (0, 1)


def test_a_set_that_three_people_hold_is_no_copy_of_one_of_them():
    copies = unique_copies_by_hand([MIDDLE], [FIRST_FIVE, FIRST_FIVE, ALL], [FIRST_FIVE])
    assert copies.real_rate == 0


def test_who_copies_a_held_out_person_copies_no_training_user():
    copies = unique_copies_by_hand([LAST_FIVE, FIRST_FIVE, MIDDLE, MIDDLE], [FIRST_FIVE, ALL], [LAST_FIVE])
    assert copies.share.effect == 1 / 4


def test_a_person_copied_three_times_is_struck_three_times_and_recurs_once(monkeypatch):
    for module in ("copies", "unique_copies"):
        monkeypatch.setattr(f"sdrm_core.privacy.{module}.LONG_ITEMS", 5)
    copies = unique_copies_by_hand([FIRST_FIVE] * 3, [FIRST_FIVE, ALL, MIDDLE], [LAST_FIVE])
    assert copies.p_one_person == pytest.approx(3 * poisson.sf(2, 3 / 4))  # any of three, of four people
    assert copies.p_versus_real == pytest.approx(2 / 35)  # of seven, three that are synthetic; two lengths are tried
    assert copies.p_recurrence == pytest.approx(3 / 7)
    assert copies.p_versus_holdout == pytest.approx(3 / 4)


@pytest.fixture(scope="module")
def few_items():
    """People who like one of five kinds of 40 items, most of them about eight: one in a hundred has a twin."""
    rng = np.random.default_rng(3)
    kinds = rng.dirichlet(np.full(40, 0.5), size=5)
    tastes = rng.dirichlet(np.full(5, 0.3), size=5100) @ kinds * 40
    ranking = np.argsort(-(tastes - 0.8 * np.log(np.arange(40) + 4) + rng.gumbel(size=tastes.shape)), axis=1)
    counts = np.clip(rng.lognormal(np.log(8), 0.5, len(ranking)), 5, 30).astype(int)
    chosen = np.zeros(ranking.shape, np.float32)
    np.put_along_axis(chosen, ranking, np.arange(40) < counts[:, None], axis=1)
    some = csr_matrix(chosen)
    return some[:2100], some[2100:2400], some[2400:4500]


@pytest.mark.parametrize(("n_copies", "verdict"), [(0, Verdict.PASS), (105, Verdict.FAIL)])
def test_where_people_have_twins_by_chance_others_may_have_as_many(few_items, n_copies, verdict):
    train, holdout, fresh = few_items
    some = np.random.default_rng(0).permutation(train.shape[0])[:n_copies]
    evidence = gathered(vstack([train[some], fresh[n_copies:]]).tocsr(), train, holdout)
    gate = judge_unique_copies(evidence, PrivacyConfig())
    assert gate.baseline["real_rate"] > 0.005
    assert gate.verdict == verdict


def test_short_records_that_recur_are_no_proof_by_themselves():
    copies = unique_copies_by_hand([FIRST_FIVE] * 3, [FIRST_FIVE, ALL, MIDDLE], [LAST_FIVE])
    assert copies.p_versus_real == pytest.approx(2 / 35)
    assert copies.p_recurrence == 1


def test_that_the_closest_of_five_shares_is_chosen_is_accounted_for(some):
    train, holdout, _ = some
    copies = measure_near_copies(gathered(train[:1], train, holdout))
    assert copies.p_versus_real == pytest.approx(5 * 2 / 1201)  # besides one of 1,200 people, the copy


def test_near_copies_of_both_roles_alike_are_taken_off_as_chance(some):
    train, holdout, fresh = some
    copies = measure_near_copies(gathered(vstack([fresh[120:], train[:100], holdout[:20]]).tocsr(), train, holdout))
    assert copies.confirmed
    assert copies.share.effect == pytest.approx(0, abs=0.03)
    assert copies.share.standard_error == pytest.approx(np.sqrt(100 + 5**2 * 20) / 400, rel=0.15)


@pytest.mark.parametrize(
    ("gate", "p_versus_holdout", "p_versus_real", "p_recurrence", "upper", "expected"),
    [
        ("unique_copies", 0.14, 0.009, 0.009, 0.03, Verdict.FAIL),  # beside people, suspicious: weaker proof is enough
        ("unique_copies", 0.16, 0.009, 0.009, 0.03, Verdict.INCONCLUSIVE),
        ("unique_copies", 0.14, 0.02, 0.02, 0.03, Verdict.INCONCLUSIVE),
        ("unique_copies", 0.009, 0.02, 0.02, 0.005, Verdict.FAIL),  # not tolerated in any number
        ("unique_copies", 0.16, 0.009, 0.009, 0.005, Verdict.INCONCLUSIVE),  # nor passed because they are few of many
        ("unique_copies", 0.16, 0.02, 0.02, 0.005, Verdict.PASS),
        ("unique_copies", 1.0, 0.0009, 0.0009, 0.005, Verdict.PASS),  # held-out people are struck as often
        ("unique_copies", 0.9, 0.0009, 0.0009, 0.005, Verdict.FAIL),  # complete records do not recur so often by chance
        ("unique_copies", 0.9, 0.0009, 0.009, 0.005, Verdict.INCONCLUSIVE),
        ("near_copies", 0.09, 0.009, 1.0, 0.03, Verdict.FAIL),
        ("near_copies", 0.11, 0.009, 1.0, 0.03, Verdict.INCONCLUSIVE),
        ("near_copies", 0.09, 0.02, 1.0, 0.03, Verdict.INCONCLUSIVE),
        ("near_copies", 0.009, 0.02, 1.0, 0.005, Verdict.FAIL),
        ("near_copies", 0.11, 0.009, 1.0, 0.005, Verdict.INCONCLUSIVE),
        ("near_copies", 1.0, 0.009, 1.0, 0.005, Verdict.PASS),
    ],
)
def test_how_much_proof_copies_take(
    evidence, monkeypatch, *, gate, p_versus_holdout, p_versus_real, p_recurrence, upper, expected
):
    found = Copies(
        share=Estimate(0.002, 0.0, upper, 1.0),
        p_versus_holdout=p_versus_holdout,
        p_one_person=1.0,
        p_versus_real=p_versus_real,
        p_recurrence=p_recurrence,
        real_rate=0.0,
        n_synthetic=evidence.synthetic.shape[0],
    )
    for measure in (f"measure_{gate}", "measure_contained_records"):
        monkeypatch.setattr(gates, measure, lambda _: found)
    judge = {"unique_copies": judge_unique_copies, "near_copies": judge_near_copies}[gate]
    assert judge(evidence, PrivacyConfig()).verdict == expected
