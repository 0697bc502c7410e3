"""Rare combinations: what is planted is found, also where not all of a large data set can be looked at."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from sdrm_core import loops
from sdrm_core.config import PrivacyConfig
from sdrm_core.data import cooccurrence
from sdrm_core.data.cooccurrence import PairCounts, count_pairs
from sdrm_core.privacy import evidence as evidence_module
from sdrm_core.privacy import rare_pairs
from sdrm_core.privacy.evidence import RealUsers, gather
from sdrm_core.privacy.gates import judge_rare_pairs
from sdrm_core.privacy.rare_pairs import measure_edge_pairs, measure_rare_pairs
from sdrm_core.privacy.verdicts import Figure, Verdict
from sdrm_core.quality.baselines import sample_by_popularity
from tests.benchmarks import privacy_plants

K = 5


@pytest.fixture(scope="module")
def people():
    """Training users, held-out users, and independent draws with some pairs that one training user alone has."""
    popularity = (np.arange(1, 1201) + 30.0) ** -0.7
    activity = np.clip(np.random.default_rng(0).lognormal(np.log(20), 0.5, 4600), 8, 100).astype(int)
    real = independent_users(popularity, activity, seed=1)
    train, holdout = real[:4000], real[4000:]
    draws = sample_by_popularity(train, users=4000, seed=2)
    return train, holdout, with_unique_pairs_of(train, holdout, draws)


@pytest.fixture(scope="module")
def evidence(people):
    train, holdout, synthetic = people
    return gather(synthetic, RealUsers.of(train, holdout, config=PrivacyConfig(k_anonymity=K), seed=0))


def independent_users(popularity, activity, *, seed):
    rng = np.random.default_rng(seed)
    keys = np.log(popularity) + rng.gumbel(size=(len(activity), len(popularity)))
    ranks = (-keys).argsort(axis=1).argsort(axis=1)
    return csr_matrix((ranks < activity[:, None]).astype(np.float32))


def with_unique_pairs_of(train, holdout, draws):
    counted = count_pairs(train, holdout)
    pairs = PairCounts(*(part[counted.users == 1] for part in counted))
    is_planted = (pairs.others == 0) & (np.random.default_rng(3).random(len(pairs.first)) < 0.2)
    first, second = pairs.first[is_planted], pairs.second[is_planted]
    rows = np.random.default_rng(4).integers(draws.shape[0], size=len(first))
    cells = (np.tile(rows, 2), np.concatenate([first, second]))
    planted = draws + csr_matrix((np.ones(len(cells[0]), np.float32), cells), shape=draws.shape)
    planted.data[:] = 1
    return planted


def verdict_of(found):
    return Figure.judged("odds", found.odds, n=found.n_users, margin=1.4, null=1.0).verdict


def measured(evidence, *, k_anonymity=K, seed=0):
    return measure_rare_pairs(evidence, k_anonymity=k_anonymity, draw=np.random.default_rng(seed))


def test_planted_pairs_fail(evidence):
    found = measured(evidence)
    assert verdict_of(found) == Verdict.FAIL
    assert found.n_items == evidence.people.complete.shape[1]


@pytest.mark.parametrize("seed", range(2))
def test_where_the_pairs_of_all_items_are_too_many_those_of_some_tell(evidence, monkeypatch, seed):
    cost = float((np.diff(evidence.people.complete.indptr).astype(float) ** 2).sum())
    monkeypatch.setattr(rare_pairs, "_MAX_PRODUCTS", cost / 2)
    found = measured(evidence, seed=seed)
    assert found.n_items == 848  # of 1,200: half of their pairs
    assert verdict_of(found) == Verdict.FAIL  # a subset of people would find common pairs rare, and pass


def test_the_verdict_says_that_some_items_were_looked_at(evidence, monkeypatch):
    config, draw = PrivacyConfig(k_anonymity=K), np.random.default_rng(0)
    assert "examined" not in judge_rare_pairs(evidence, config, draw).sentence
    monkeypatch.setattr(rare_pairs, "_MAX_PRODUCTS", 1e5)
    assert (
        "Only pairs of a random 223 of 1,200 items were examined." in judge_rare_pairs(evidence, config, draw).sentence
    )


@pytest.mark.parametrize("seed", range(2))
def test_where_not_all_people_are_compared_pairs_are_counted_among_all(people, monkeypatch, seed):
    train, holdout, synthetic = people
    config = PrivacyConfig(k_anonymity=K, max_pair_products=1.0)
    monkeypatch.setattr(evidence_module, "SUBSET_USERS", 1200)
    some = RealUsers.of(train, holdout, config=config, seed=seed)
    assert some.real.shape[0] == 1200
    monkeypatch.setattr(evidence_module, "SUBSET_USERS", 4000)
    assert verdict_of(measured(gather(synthetic, some))) != Verdict.PASS


def test_who_has_pairs_of_more_popular_items_is_not_taken_to_be_exposed():
    """32 people have a pair of items each, which nobody else has; half of these pairs are of popular items.

    Three quarters of those are exposed, and a quarter of the others, whoever has them. But 12 of 16 training users have
    popular items and 4 of 16 held-out users: 10 of the former and 6 of the latter are exposed, at odds of 25 / 9.
    """
    is_popular = np.repeat([True, False, True, False], [12, 4, 4, 12])
    is_exposed = np.concatenate([np.arange(n) < n_exposed for n, n_exposed in [(12, 9), (4, 1), (4, 3), (12, 3)]])
    pairs, singles = np.repeat(np.eye(32), 2, axis=1), np.eye(64)
    n_alone = 1 + is_popular - is_exposed  # a popular item has two synthetic users, with its partner or alone
    alone = np.repeat(np.arange(64), np.repeat(n_alone, 2))
    users = [pairs[:16], singles, singles], [pairs[16:]], [pairs[is_exposed], singles[alone]]
    train, holdout, synthetic = (csr_matrix(np.concatenate(parts), dtype=np.float32) for parts in users)
    people = RealUsers.of(train, holdout, config=PrivacyConfig(k_anonymity=1), seed=0)
    found = measured(gather(synthetic, people), k_anonymity=1)
    assert found.n_users == 32
    assert found.odds.effect == pytest.approx(1)


def test_where_nothing_could_be_looked_at_nothing_is_known(evidence, monkeypatch):
    monkeypatch.setattr(rare_pairs, "_MAX_PRODUCTS", 10.0)
    found = measured(evidence)
    assert found.n_users == 0
    assert verdict_of(found) == Verdict.INCONCLUSIVE


def test_a_pair_of_one_person_is_rare_even_where_no_anonymity_is_asked_for(simulate):
    real = simulate(900, seed=22)
    people = RealUsers.of(real[:700], real[700:], config=PrivacyConfig(k_anonymity=1), seed=0)
    copies = gather(real[:700], people)
    assert verdict_of(measured(copies, k_anonymity=1)) == Verdict.FAIL


def test_how_few_people_make_a_pair_rare_is_the_configured_anonymity(simulate):
    real = simulate(500, seed=22)
    evidence = gather(real[:100], RealUsers.of(real[:300], real[300:], config=PrivacyConfig(k_anonymity=1), seed=0))
    few, more = (
        judge_rare_pairs(evidence, PrivacyConfig(k_anonymity=k), np.random.default_rng(0)).figures[0].n for k in (2, 9)
    )
    assert (few, more) == tuple(measured(evidence, k_anonymity=k).n_users for k in (2, 9))
    assert few < more


@pytest.mark.parametrize("threads", [1, 3])
def test_neither_threads_nor_blocks_change_anything(evidence, monkeypatch, threads):
    before = measured(evidence)
    monkeypatch.setattr(loops, "usable_cores", lambda: threads)
    monkeypatch.setattr(rare_pairs, "_BLOCK_ROWS", 100)
    monkeypatch.setattr(cooccurrence, "_BLOCK_CELLS", 50_000)
    assert measured(evidence) == before


@pytest.fixture(scope="module")
def edge_people():
    popularity = (np.arange(1, 3001) + 30.0) ** -0.7
    real = independent_users(popularity, np.full(2300, 12), seed=1)
    draws = sample_by_popularity(real[:2000], users=2000, seed=2)
    return real[:2000], real[2000:], draws


def test_where_nothing_is_rare_it_is_said_that_nothing_was_looked_for():
    alike = csr_matrix(np.ones((90, 6), np.float32))
    config = PrivacyConfig(k_anonymity=K)
    people = RealUsers.of(alike[:60], alike[60:], config=config, seed=0)
    verdict = judge_rare_pairs(gather(alike, people), config, np.random.default_rng(0))
    assert verdict.verdict == Verdict.PASS
    assert verdict.sentence.endswith("No combination of items is rare enough here to identify a person.")


def test_where_hardly_anyone_has_a_rare_combination_no_number_of_held_out_users_is_promised():
    """Three people have a pair of their own; with more people of their kind, these pairs would not be rare."""
    items = np.zeros((90, 9), np.float32)
    items[:, :3], items[::2, 3:6], items[1::2, 6:] = 1, 1, 1
    items[[0, 2, 80], [6, 7, 8]] = 1
    users = csr_matrix(items)
    config = PrivacyConfig(k_anonymity=K)
    people = RealUsers.of(users[:70], users[70:], config=config, seed=0)
    verdict = judge_rare_pairs(gather(users[:70], people), config, np.random.default_rng(0))
    assert 0 < verdict.figures[0].n < 5
    assert verdict.verdict == Verdict.INCONCLUSIVE
    assert verdict.holdout_needed is None
    assert verdict.sentence.endswith("Too few people have such a combination to compare them.")


class TestEdge:
    """Items of exactly k training users count for none of them elsewhere; pairs of them are judged by themselves."""

    @pytest.mark.parametrize("plant", [privacy_plants.with_edge_pairs, privacy_plants.with_edge_and_other])
    def test_pairs_of_such_items_or_of_one_and_another_that_training_users_alone_have_fail(self, edge_people, plant):
        train, holdout, synthetic = edge_people
        draw = privacy_plants.Draw(train, holdout, synthetic)
        verdict = self.verdict_of(plant(draw, synthetic, np.random.default_rng(0), k=K), train, holdout)
        assert verdict.verdict == Verdict.FAIL
        assert verdict.figures[0].name == "edge pairs odds"

    def test_independent_draws_pass(self, edge_people):
        train, holdout, synthetic = edge_people
        assert self.verdict_of(synthetic, train, holdout).verdict == Verdict.PASS

    @pytest.mark.parametrize(
        ("synthetic", "n_users", "p_value"),
        [([[1, 1, 0, 0, 0]], 3, 1 / 3), ([[1, 0, 0, 0, 0], [0, 1, 1, 1, 1]], 6, 2 / 5)],
    )
    def test_who_has_such_a_pair_and_who_is_struck_is_counted_exactly(self, synthetic, n_users, p_value):
        """Of two training users each: the first, second, fourth and fifth item, the last two the same ones.

        Alone with a pair of two of them are one training user and both held-out users, with a pair of one of them and
        any other four training users and both held-out ones. The first release strikes that one training user, the
        second two of the four.
        """
        train = [[1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 1, 1, 1], [0, 0, 0, 1, 1]]
        holdout = [[1, 0, 0, 1, 0], [1, 0, 0, 0, 1]]
        matrices = [csr_matrix(np.array(users, dtype=np.float32)) for users in (train, holdout, synthetic)]
        people = RealUsers.of(*matrices[:2], config=PrivacyConfig(k_anonymity=2), seed=0)
        found = measure_edge_pairs(gather(matrices[2], people), k_anonymity=2)
        assert (found.n_items, found.n_users) == (4, n_users)
        assert found.odds.p_value == pytest.approx(2 * p_value)  # it is looked at both

    def test_one_item_is_no_pair_even_where_no_anonymity_is_asked_for(self):
        matrices = [csr_matrix(np.array(users, dtype=np.float32)) for users in ([[1, 0], [0, 1]], [[0, 0]], [[1, 0]])]
        people = RealUsers.of(*matrices[:2], config=PrivacyConfig(k_anonymity=1), seed=0)
        found = measure_edge_pairs(gather(matrices[2], people), k_anonymity=1)
        assert (found.n_items, found.n_users) == (2, 0)

    def test_whichever_synthetic_users_are_compared_pairs_of_all_are_exposed(self, edge_people, monkeypatch):
        train, holdout, _ = edge_people
        config = PrivacyConfig(k_anonymity=K, max_pair_products=1.0)
        people = RealUsers.of(train, holdout, config=config, seed=0)
        monkeypatch.setattr(evidence_module, "SUBSET_USERS", 60)
        some = gather(train, people)
        assert some.synthetic.shape[0] == 60
        assert measure_edge_pairs(some, k_anonymity=K).odds.p_value < 1e-6

    def test_without_such_items_nothing_is_exposed(self, evidence):
        found = measure_edge_pairs(evidence, k_anonymity=100_000)
        assert (found.n_items, found.n_users, found.odds.p_value) == (0, 0, 1.0)

    def verdict_of(self, synthetic, train, holdout):
        config = PrivacyConfig(k_anonymity=K)
        people = RealUsers.of(train, holdout, config=config, seed=0)
        return judge_rare_pairs(gather(synthetic, people), config, np.random.default_rng(0))
