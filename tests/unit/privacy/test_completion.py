"""The completion attack: its control does not know who is attacked; of many people some tell, and the cores do not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from sdrm_core import loops
from sdrm_core.config import PrivacyConfig
from sdrm_core.data.matrix import item_popularity
from sdrm_core.privacy import completion, gates, hidden
from sdrm_core.privacy.completion import measure_completion
from sdrm_core.privacy.evidence import RealUsers, gather
from sdrm_core.privacy.gates import judge_completion
from sdrm_core.privacy.kernels import largest
from sdrm_core.privacy.statistics import Estimate, adjusted_difference
from sdrm_core.privacy.verdicts import Verdict, about


@pytest.fixture(scope="module")
def evidence(simulate):
    users = simulate(1400, seed=31)
    return gather(users[:300], RealUsers.of(users[:900], users[900:], config=PrivacyConfig(), seed=0))


def anew(evidence, *, seed=0):
    """Return the evidence with items that are still to be hidden."""
    return replace(evidence, people=replace(evidence.people, seed=seed))


def measured(evidence, *, seed=0):
    return measure_completion(anew(evidence, seed=seed))


@pytest.mark.parametrize("seed", range(2))
def test_of_very_many_people_a_random_part_of_each_role_is_attacked(evidence, monkeypatch, seed):
    monkeypatch.setattr(hidden, "MAX_USERS", 400)
    found = measured(evidence, seed=seed)
    assert found.n_users == 800
    assert found.gain.lower > 0  # a third of the training users were handed out


def test_where_there_are_no_more_the_limit_changes_nothing(evidence, monkeypatch):
    before = measured(evidence)
    monkeypatch.setattr(hidden, "MAX_USERS", 900)
    assert measured(evidence) == before
    assert before.n_users == 1400


def test_where_some_of_the_held_out_people_are_attacked_no_number_of_them_is_asked_for(evidence, monkeypatch):
    for module in (hidden, gates):
        monkeypatch.setattr(module, "MAX_USERS", 40)
    estimate = Estimate(0.0, -0.1, 0.1, 0.5)
    monkeypatch.setattr(completion, "adjusted_difference", lambda *_: estimate)
    verdict = judge_completion(anew(evidence), PrivacyConfig())
    assert verdict.verdict == Verdict.INCONCLUSIVE
    assert verdict.sentence.endswith(
        "A random 40 of about 500 held-out users were attacked; more would not help to decide."
    )
    assert verdict.holdout_needed is None


def test_of_a_large_catalogue_the_most_popular_items_are_attacked(evidence, monkeypatch):
    monkeypatch.setattr(hidden, "MAX_ITEMS", 20)
    found = measured(evidence)
    popular = np.argsort(-item_popularity(evidence.people.complete), kind="stable")[:20]
    assert found.n_items == 20
    assert found.n_users == (np.diff(evidence.people.real[:, popular].tocsr().indptr) >= 2).sum()


def test_the_verdict_says_that_only_the_most_popular_items_were_attacked(evidence, monkeypatch):
    whole, n_items = (
        judge_completion(anew(evidence), PrivacyConfig()),
        evidence.people.everyone.shape[1],
    )
    monkeypatch.setattr(hidden, "MAX_ITEMS", 20)
    part = judge_completion(anew(evidence), PrivacyConfig())
    assert "examined" not in whole.sentence
    assert part.sentence.endswith(f"Only the 20 most popular of {n_items} items were examined.")


@pytest.mark.parametrize("n_train", [400, 1_400])
def test_the_verdict_hardly_hangs_on_how_the_items_of_people_are_divided(simulate, monkeypatch, n_train):
    users = simulate(n_train + 100, seed=31)
    people = RealUsers.of(users[:n_train], users[n_train:], config=PrivacyConfig(), seed=0)
    released = gather(users[:60], people)
    spread = []
    for n_divisions in (1, hidden._DIVISIONS):
        monkeypatch.setattr(hidden, "_DIVISIONS", n_divisions)
        gains = [measured(released, seed=seed).gain for seed in range(12)]
        spread.append((np.std([gain.effect for gain in gains]), np.mean([gain.upper - gain.effect for gain in gains])))
    (once, once_error), (often, often_error) = spread
    assert often < 0.7 * once
    assert often_error < once_error


@pytest.mark.parametrize("threads", [1, 3])
def test_neither_threads_nor_blocks_change_anything(evidence, monkeypatch, threads):
    before = measured(evidence)
    monkeypatch.setattr(loops, "usable_cores", lambda: threads)
    monkeypatch.setattr(hidden, "_BLOCK_ROWS", 100)
    assert measured(evidence) == before


def people_with(items, *, n_items=60):
    return csr_matrix(np.array([np.isin(np.arange(n_items), own) for own in items], np.float32))


def test_the_control_knows_what_others_have_together_and_nothing_of_the_attacked_person(monkeypatch):
    """Two training users share two of three items; one has a pair of items of its own, as a held-out user has.

    A third item, which nobody else has with the other two, is no likelier than more than 40 others that nobody has with
    them: of three items it finds two. The two other held-out users have the same pair. People with one item, who are
    not attacked, have every item twice: none is rare.
    """
    train, holdout = [[0, 1, 2], [0, 1, 3], [4, 5]], [[6, 7], [6, 7], [8, 9]]
    train += [[item] for item in range(60)] * 2
    people = RealUsers.of(people_with(train), people_with(holdout), config=PrivacyConfig(k_anonymity=1), seed=0)
    asked = []
    monkeypatch.setattr(
        completion, "adjusted_difference", lambda *given: asked.append(given) or adjusted_difference(*given)
    )
    measured(gather(people_with(train), people))
    ((_, is_train, known),) = asked
    control = known[:, -1]
    assert sorted(control[is_train]) == pytest.approx([0, 2 / 3, 2 / 3])
    assert sorted(control[~is_train]) == [0, 1, 1]


def test_items_are_hidden_once_for_all_releases_that_are_judged(evidence, monkeypatch):
    hides, hide = [], hidden.HiddenItems.of
    monkeypatch.setattr(hidden.HiddenItems, "of", lambda *args, **named: hides.append(1) or hide(*args, **named))
    people = anew(evidence).people
    for released in (evidence.synthetic, evidence.synthetic[:100]):
        measure_completion(gather(released, people))
    assert hides == [1]


@pytest.mark.parametrize(("n_items", "per_user", "why"), [
    (20, 8, "There are only 20 items: a list of 20 guesses holds all of them."),
    (300, 1, "Hardly anybody has two items, one to know and one to guess."),
])  # fmt: skip
def test_where_there_is_nothing_to_guess_nothing_is_decided(n_items, per_user, why):
    rng = np.random.default_rng(0)
    items = np.concatenate([np.sort(rng.choice(n_items, per_user, replace=False)) for _ in range(1200)])
    starts = np.arange(0, len(items) + 1, per_user)
    users = csr_matrix((np.ones(len(items), np.float32), items, starts), shape=(1200, n_items))
    people = RealUsers.of(users[:700], users[700:900], config=PrivacyConfig(), seed=0)
    verdict = judge_completion(gather(users[900:], people), PrivacyConfig())
    assert verdict.verdict == Verdict.INCONCLUSIVE
    assert verdict.sentence.endswith(why)


@pytest.mark.parametrize("n", [0, 3, 5, 20])
def test_of_fewer_values_all_are_the_largest(n):
    values = np.random.default_rng(0).random(n + 1)
    found = largest(values, 20)
    assert sorted(found) == sorted(values)[-20:]
    assert found[0] == min(found)


@pytest.mark.parametrize(("n", "told"), [(29, "about 29"), (594, "about 590"), (1_191, "about 1,200")])
def test_numbers_of_people_are_told_with_two_digits(n, told):
    assert about(n) == told
