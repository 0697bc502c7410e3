import dataclasses
import json
from functools import partial

import numpy as np
import pytest
from scipy.sparse import csr_matrix, hstack, vstack

from sdrm_core.config import PrivacyConfig
from sdrm_core.errors import DataError
from sdrm_core.privacy import gates
from sdrm_core.privacy.evidence import RealUsers, gather
from sdrm_core.privacy.judge import judge_privacy
from sdrm_core.privacy.kernels import complete, rarest_pairs, share_closer
from sdrm_core.privacy.rare_pairs import MOST_ODDS
from sdrm_core.privacy.rules import judge_k_anonymity
from sdrm_core.privacy.similarity import pair_products
from sdrm_core.privacy.statistics import Estimate
from sdrm_core.privacy.verdicts import Figure, GateVerdict, PrivacyReport, Verdict, overall, strictest

CONFIG = PrivacyConfig(k_anonymity=2, min_dissimilarity=0.3)
N_SYNTHETIC = 400
ORDERS = {  # of the training rows
    "every other one back": lambda rows: np.r_[rows[::2], rows[1::2][::-1]],
    "every seventh": lambda rows: np.concatenate([rows[start::7] for start in range(7)]),
    "second half first": lambda rows: np.roll(rows, len(rows) // 2),
    "first and last by turns": lambda rows: np.c_[rows, rows[::-1]].ravel()[: len(rows)],
    "every 421st, round and round": lambda rows: rows * 421 % len(rows),
}


def judge(synthetic, train, holdout, *, config=CONFIG, user_ids=None, previous_ids=None) -> PrivacyReport:
    ids = np.arange(synthetic.shape[0]) if user_ids is None else user_ids
    return judge_privacy(synthetic, train, holdout, user_ids=ids, previous_ids=previous_ids, config=config, seed=0)


def verdict(report: PrivacyReport, gate: str) -> Verdict:
    return next(found.verdict for found in report.gates if found.gate == gate)


def test_where_every_combination_is_common_none_is_exposed():
    rng = np.random.default_rng(5)
    users = csr_matrix((rng.random((1400, 12)) < 0.5).astype(np.float32))
    users = users[np.diff(users.indptr) > 0]
    report = judge(users[1000:], users[:700], users[700:1000])
    assert verdict(report, "rare_pairs") == Verdict.PASS


@pytest.fixture(scope="module")
def real(simulate) -> tuple[csr_matrix, csr_matrix, csr_matrix]:
    users = simulate(1000 + 200 + N_SYNTHETIC, seed=3)
    return users[:1000], users[1000:1200], users[1200:]


def with_copies(real, n_copies: int) -> csr_matrix:
    train, _, fresh = real
    mixed = vstack([train[:n_copies], fresh[n_copies:]]).tocsr()
    return mixed[np.random.default_rng(5).permutation(N_SYNTHETIC)]


@pytest.fixture(scope="module")
def clean(real) -> PrivacyReport:
    train, holdout, fresh = real
    return judge(fresh, train, holdout)


def test_fresh_people_fail_no_gate(clean):
    assert Verdict.FAIL not in {gate.verdict for gate in clean.gates}, clean.gates


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.float64])
def test_the_type_of_the_ones_changes_no_figure(real, clean, dtype):
    train, holdout, fresh = (users.astype(dtype) for users in real)
    assert judge(fresh, train, holdout) == clean


def test_more_copies_are_never_judged_milder(real):
    severity = {Verdict.PASS: 0, Verdict.INCONCLUSIVE: 1, Verdict.FAIL: 2}
    reports = [judge(with_copies(real, n), *real[:2]) for n in (0, 40, 200)]
    for gate in ("unique_copies", "near_copies"):
        levels = [severity[verdict(report, gate)] for report in reports]
        assert levels == sorted(levels), gate
    assert [report.verdict for report in reports[1:]] == [Verdict.FAIL] * 2


def test_the_training_set_itself_fails_every_comparison(real):
    train, holdout, _ = real
    report = judge(train[np.random.default_rng(0).permutation(1000)], train, holdout)
    for gate in ("unique_copies", "near_copies", "closer_to_train", "membership", "rare_pairs"):
        assert verdict(report, gate) == Verdict.FAIL, gate
    assert verdict(report, "dissimilarity") == Verdict.PASS  # it proves nothing, as the docs say


def test_rows_in_training_order_fail_hygiene(real):
    train, holdout, _ = real
    assert verdict(judge(train, train, holdout[:9]), "hygiene") == Verdict.FAIL


@pytest.mark.parametrize("order", ORDERS)
def test_rows_in_an_order_made_of_the_training_order_fail_hygiene(real, order):
    train, holdout, _ = real
    rows = ORDERS[order](np.arange(train.shape[0]))
    ids = np.random.default_rng(0).permutation(len(rows))
    assert verdict(judge(train[rows], train, holdout[:9], user_ids=ids), "hygiene") == Verdict.FAIL


def test_ids_in_training_order_fail_hygiene_and_random_ones_do_not(real):
    train, holdout, _ = real
    shuffled = np.random.default_rng(0).permutation(train.shape[0])
    ids = np.random.default_rng(1).permutation(train.shape[0])
    assert verdict(judge(train[shuffled], train, holdout[:9], user_ids=shuffled), "hygiene") == Verdict.FAIL
    assert verdict(judge(train[shuffled], train, holdout[:9], user_ids=ids), "hygiene") == Verdict.PASS


def test_ids_in_training_order_fail_hygiene_where_some_of_the_synthetic_users_are_compared(real, monkeypatch):
    train, holdout, _ = real
    monkeypatch.setattr("sdrm_core.privacy.evidence.SUBSET_USERS", train.shape[0] // 2)
    shuffled = np.random.default_rng(0).permutation(train.shape[0])
    cheap = CONFIG.model_copy(update={"max_pair_products": 1.0})
    found = judge(train[shuffled], train, holdout[:9], user_ids=shuffled, config=cheap)
    assert found.compared
    assert verdict(found, "hygiene") == Verdict.FAIL


def test_rows_in_reversed_training_order_fail_hygiene_too(real):
    train, holdout, _ = real
    assert verdict(judge(train[::-1], train, holdout[:9]), "hygiene") == Verdict.FAIL


def test_a_user_without_an_id_fails_hygiene(real):
    train, holdout, fresh = real
    missing = judge(fresh, train, holdout[:9], user_ids=np.arange(N_SYNTHETIC - 1))
    assert verdict(missing, "hygiene") == Verdict.FAIL


def test_reused_or_repeated_ids_fail_hygiene(real):
    train, holdout, fresh = real
    again = judge(fresh, train, holdout[:9], previous_ids=np.array([5, 10**6]))
    assert verdict(again, "hygiene") == Verdict.FAIL
    twice = judge(fresh, train, holdout[:9], user_ids=np.zeros(N_SYNTHETIC, int))
    assert verdict(twice, "hygiene") == Verdict.FAIL


@pytest.mark.parametrize("as_given", [list, *(partial(np.asarray, dtype=dtype) for dtype in (str, float, object))])
def test_ids_of_another_type_are_the_same_ids(real, as_given):
    train, holdout, fresh = real
    draw = np.random.default_rng(0)
    ids, others = draw.permutation(N_SYNTHETIC), np.array([10**6, 10**7])
    assert verdict(judge(fresh, train, holdout[:9], user_ids=as_given(ids)), "hygiene") == Verdict.PASS
    known = judge(fresh, train, holdout[:9], user_ids=as_given(ids), previous_ids=others)
    assert verdict(known, "hygiene") == Verdict.PASS
    again = judge(fresh, train, holdout[:9], user_ids=as_given(ids), previous_ids=ids[:3])
    assert verdict(again, "hygiene") == Verdict.FAIL


def test_missing_ids_fail_hygiene(real):
    train, holdout, fresh = real
    missing = judge(fresh, train, holdout[:9], user_ids=np.full(N_SYNTHETIC, None))
    assert verdict(missing, "hygiene") == Verdict.FAIL


def test_user_without_items_fails_hygiene(real):
    train, holdout, fresh = real
    empty = vstack([fresh[1:], csr_matrix((1, fresh.shape[1]), dtype=np.float32)]).tocsr()
    assert verdict(judge(empty, train, holdout[:9]), "hygiene") == Verdict.FAIL


def test_a_release_too_small_to_tell_says_how_many_synthetic_users_would(real):
    train, holdout, fresh = real
    (gate,) = [gate for gate in judge(fresh[:100], train, holdout).gates if gate.gate == "unique_copies"]
    assert gate.verdict == Verdict.INCONCLUSIVE
    assert gate.sentence == (
        "It cannot be decided whether the release repeats complete records of individual people. "
        "There were 100 synthetic users; a decision needs about 1,000."
    )
    assert gate.holdout_needed is None  # more of them would not tell


def test_where_some_of_the_synthetic_users_are_compared_no_number_of_them_is_asked_for(real, monkeypatch):
    from sdrm_core.privacy import evidence

    train, holdout, fresh = real
    monkeypatch.setattr(evidence, "SUBSET_USERS", 60)
    cheap = CONFIG.model_copy(update={"max_pair_products": 1.0})
    (gate,) = [gate for gate in judge(fresh, train, holdout, config=cheap).gates if gate.gate == "near_copies"]
    assert gate.sentence.endswith(
        "There were 60 synthetic users compared; more of them alone would not be enough to decide."
    )


def test_complete_records_are_looked_for_among_all_whoever_is_compared(real, monkeypatch):
    from sdrm_core.privacy import evidence

    train, holdout, fresh = real
    monkeypatch.setattr(evidence, "SUBSET_USERS", 60)
    cheap = CONFIG.model_copy(update={"max_pair_products": 1.0})
    planted = vstack([train[:40], fresh[40:]]).tocsr()
    assert verdict(judge(planted, train, holdout, config=cheap), "unique_copies") == Verdict.FAIL


def test_as_many_synthetic_users_are_compared_as_the_limit_affords(real, monkeypatch):
    from sdrm_core.privacy import evidence

    train, holdout, fresh = real
    monkeypatch.setattr(evidence, "SUBSET_USERS", 60)
    people = evidence.RealUsers.of(train, holdout, config=CONFIG, seed=0)
    for share, compared in ((0.5, fresh.shape[0] // 2), (1e-9, 60), (2.0, fresh.shape[0])):
        limit = share * pair_products(fresh, people.complete)
        found = evidence.gather(fresh, dataclasses.replace(people, max_pair_products=limit))
        assert found.synthetic.shape[0] == pytest.approx(compared, rel=0.1)
        assert bool(found.compared) == (found.synthetic.shape[0] < fresh.shape[0])


def test_the_figure_that_decides_comes_first_and_says_how_many_held_out_people_would_tell(real, monkeypatch):
    train, holdout, fresh = real
    evidence = gather(fresh, RealUsers.of(train, holdout, config=CONFIG, seed=0))
    none, doubt = Estimate(0.5, 0.49, 0.51, 0.5), Estimate(0.01, 0.0, 0.09, 0.5)  # twice too wide for its margin
    measured = dict.fromkeys(
        ["auc", "tpr", "rare taste auc", "auc turned round", "most active auc", "auc of all at once"], none
    )
    measured["tpr"] = doubt
    monkeypatch.setattr(gates, "measure_membership", lambda *_: measured)
    found = gates.judge_membership(evidence, CONFIG, np.random.default_rng(0))
    assert [figure.name for figure in found.figures] == ["tpr", *(name for name in measured if name != "tpr")]
    assert (found.verdict, found.holdout_needed) == (Verdict.INCONCLUSIVE, 1000)  # 801, told no more precisely
    assert found.sentence.endswith("There were about 200 held-out users; a decision needs about 1,000.")


def test_copies_that_chance_would_hardly_make_are_told_though_nobody_is_proven_to_be_copied(real):
    train, holdout, fresh = real
    struck = vstack([train[:8], holdout[:4]])  # two thirds of them trained on, of all people five sixths
    planted = vstack([fresh[12:], struck]).tocsr()[np.random.default_rng(0).permutation(N_SYNTHETIC)]
    (gate,) = [gate for gate in judge(planted, train, holdout).gates if gate.gate == "unique_copies"]
    assert gate.verdict == Verdict.INCONCLUSIVE
    assert gate.sentence == (
        "Some complete records of individual people recur; it cannot be decided whether by chance. "
        "There were about 200 held-out users; a decision needs more of them."
    )


@pytest.mark.parametrize(("n_copies", "expected"), [(8, Verdict.INCONCLUSIVE), (14, Verdict.FAIL)])
def test_complete_records_do_not_pass_because_they_are_few_of_many(simulate, n_copies, expected):
    people, clean = simulate(3_400, seed=70), simulate(3_000, seed=77)
    long = np.flatnonzero(np.diff(people[:3_000].indptr) >= 12)[:n_copies]
    planted = vstack([clean, people[long]]).tocsr()[np.random.default_rng(0).permutation(3_000 + n_copies)]
    found = RealUsers.of(people[:3_000], people[3_000:], config=CONFIG, seed=0)
    gate = gates.judge_unique_copies(gather(planted, found), CONFIG)
    assert gate.figures[0].upper < gate.figures[0].margin  # the bound alone would let them pass
    assert gate.verdict == expected


def test_few_held_out_people_prove_copies_though_they_cannot_clear(real):
    train, holdout, _ = real
    assert verdict(judge(train, train, holdout[:9]), "unique_copies") == Verdict.FAIL
    assert verdict(judge(train[:30], train, holdout[:9]), "unique_copies") == Verdict.FAIL


def test_users_less_different_from_people_than_asked_fail_dissimilarity(real):
    train, holdout, fresh = real
    report = judge(fresh, train, holdout[:9], config=CONFIG.model_copy(update={"min_dissimilarity": 1.0}))
    (gate,) = [gate for gate in report.gates if gate.gate == "dissimilarity"]
    assert gate.verdict == Verdict.FAIL
    assert gate.baseline["synthetic_to_real"] == pytest.approx(gate.baseline["real_to_real"], abs=0.01)


def test_an_item_of_few_people_fails_k_anonymity(real):
    train, holdout, fresh = real
    rare = PrivacyConfig(k_anonymity=int(np.bincount(train.indices).max()) + 1)
    report = judge(fresh, train, holdout[:9], config=rare)
    assert verdict(report, "k_anonymous_items") == Verdict.FAIL


def test_an_item_is_published_if_as_many_training_users_as_asked_for_have_it():
    train = csr_matrix(np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0]], np.float32))
    one_user = csr_matrix(np.array([[1, 1, 0]], np.float32))
    assert judge_k_anonymity(one_user, train, k=2).verdict == Verdict.PASS
    of_one = judge_k_anonymity(csr_matrix(np.array([[1, 0, 1]], np.float32)), train, k=2)
    assert of_one.verdict == Verdict.FAIL
    assert of_one.sentence.startswith("1 published item is held by fewer than 2 training users.")


def test_held_out_people_who_have_an_item_do_not_make_it_publishable(real):
    train, holdout, fresh = real

    def with_an_item_of(some, n_users):
        return hstack([some, (np.arange(some.shape[0]) < n_users).astype(np.float32)[:, None]]).tocsr()

    report = judge(with_an_item_of(fresh, 1), with_an_item_of(train, 1), with_an_item_of(holdout[:9], 9))
    assert verdict(report, "k_anonymous_items") == Verdict.FAIL


def test_small_holdout_is_inconclusive_with_the_reason(real):
    train, holdout, fresh = real
    report = judge(fresh, train, holdout[:29])
    gate = next(gate for gate in report.gates if gate.gate == "membership")
    assert (gate.verdict, gate.holdout_needed) == (Verdict.INCONCLUSIVE, 30)
    assert "Held-out users to compare with: 29" in gate.sentence
    assert report.verdict == Verdict.INCONCLUSIVE


def test_thirty_held_out_people_are_enough_to_be_judged(real):
    train, holdout, fresh = real
    report = judge(fresh, train, holdout[:30])
    assert all(gate.figures for gate in report.gates if gate.gate in {"closer_to_train", "membership"})


def test_the_pictures_show_no_leak_where_there_is_none(real):
    train, holdout, fresh = real
    histograms = judge(fresh, train, holdout).histograms
    middle = {name: np.average(one.edges[:-1], weights=one.counts) for name, one in histograms.items()}
    assert middle["synthetic_to_train"] == pytest.approx(middle["synthetic_to_holdout"], rel=0.02)


def test_the_pictures_show_whom_copies_are_of_among_as_many_of_either_role(real):
    train, holdout, _ = real
    for copied, equal in ((train, "synthetic_to_train"), (holdout, "synthetic_to_holdout")):
        histograms = judge(copied, train, holdout).histograms
        exact = {name: histograms[name].counts[-1] for name in ("synthetic_to_train", "synthetic_to_holdout")}
        assert exact.pop(equal) == pytest.approx(holdout.shape[0], abs=5)  # of the training people as many are shown
        assert max(exact.values()) < 5


def test_of_more_held_out_than_training_people_as_many_are_compared(real):
    train, holdout, fresh = real
    report = judge(fresh, holdout[:60], train[:200])
    assert (report.n_train, report.n_holdout) == (60, 60)
    assert sum(report.histograms["holdout_to_train"].counts) == 60


def test_each_figure_has_its_own_margin_point_of_no_leak_and_level_of_significance(real):
    train, holdout, fresh = real
    margins = {
        "unique_copies": 0.031,
        "near_copies": 0.032,
        "closer_to_train": 0.533,
        "membership_auc": 0.534,
        "membership_tpr": 0.035,
        "rare_taste_auc": 0.536,
        "most_active_auc": 0.539,
        "all_attacks_auc": 0.541,
        "rare_pairs": 1.37,
        "completion": 0.038,
    }
    report = judge(fresh[::2], train, holdout, config=PrivacyConfig(k_anonymity=2, margins=margins))
    found = {
        figure.name: (figure.margin, figure.null, figure.significance)
        for gate in report.gates
        for figure in gate.figures
    }
    assert found == {
        "unique copies": (0.031, 0, 0.01),
        "near copies": (0.032, 0, 0.01),
        "contained records": (0.032, 0, 0.01),
        "share closer to train": (0.533, 0.5, 0.01),
        "auc": (0.534, 0.5, 0.01 / 5),
        "tpr": (0.035, 0.01, 0.01 / 5),
        "rare taste auc": (0.536, 0.5, 0.01 / 5),
        "auc turned round": (0.534, 0.5, 0.01 / 5),
        "most active auc": (0.539, 0.5, 0.01 / 5),
        "auc of all at once": (0.541, 0.5, 0.01 / 5),
        "exposure odds": (1.37, 1, 0.01),
        "edge pairs odds": (MOST_ODDS, 1, 0.01),
        "recall@20 gain": (0.038, 0, 0.01),
    }


def test_an_accepted_doubt_does_not_excuse_a_leak(real):
    train, holdout, _ = real
    gates = ("unique_copies", "near_copies", "closer_to_train", "membership", "rare_pairs", "completion")
    accepting = CONFIG.model_copy(update={"accept_inconclusive": gates})
    report = judge(train[::-1][:N_SYNTHETIC], train, holdout, config=accepting)
    assert report.verdict == Verdict.FAIL
    assert not {gate.gate for gate in report.gates if gate.verdict == Verdict.FAIL} & set(report.accepted)


def test_people_of_one_item_alone_cannot_be_completed_and_the_report_says_so_in_json(real):
    train, holdout, fresh = real
    one_item = csr_matrix((np.ones(60, np.float32), holdout.indices[:60], np.arange(61)), shape=(60, train.shape[1]))
    report = judge(fresh, train, one_item)
    (gate,) = [gate for gate in report.gates if gate.gate == "completion"]
    assert gate.verdict == Verdict.INCONCLUSIVE
    assert json.dumps(report.model_dump(mode="json"), allow_nan=False)


def test_accepted_inconclusive_gates_are_named(real):
    train, holdout, fresh = real
    gates = ("unique_copies", "near_copies", "closer_to_train", "membership", "rare_pairs", "completion")
    accepting = CONFIG.model_copy(update={"accept_inconclusive": gates})
    report = judge(fresh, train, holdout[:29], config=accepting)
    assert report.verdict == Verdict.PASS
    assert set(report.accepted) == set(gates)
    reporting = accepting.model_copy(update={"report_only": gates[:1]})
    assert set(judge(fresh, train, holdout[:29], config=reporting).accepted) == set(gates[1:])


def test_bad_input_is_refused(real):
    train, holdout, fresh = real
    with pytest.raises(DataError, match="different catalogues"):
        judge(fresh[:, 1:], train, holdout)
    with pytest.raises(DataError, match="holdout: is empty"):
        judge(fresh, train, holdout[:0])
    broken = fresh.copy()
    broken.data[0] = np.nan
    with pytest.raises(DataError, match="not 1"):
        judge(broken, train, holdout)


def test_same_seed_same_report_and_json_round_trip(real, clean):
    train, holdout, fresh = real
    assert clean == judge(fresh, train, holdout)
    assert PrivacyReport.model_validate_json(clean.model_dump_json()) == clean


def test_public_view_holds_no_figures(clean):
    public = clean.public()
    assert set(public) == {"verdict", "gates", "accepted_inconclusive", "compared", "formal_guarantee"}
    for gate in public["gates"].values():
        assert set(gate) == {"verdict", "sentence"}


def test_a_cost_above_the_limit_compares_what_it_can_and_says_so(simulate, monkeypatch):
    from sdrm_core.privacy import evidence

    monkeypatch.setattr(evidence, "SUBSET_USERS", 300)
    users = simulate(1500, seed=4)
    cheap = CONFIG.model_copy(update={"max_pair_products": 1.0})
    report = judge(users[:500], users[500:1300], users[1300:], config=cheap)
    real = "a random subset of about 300 of about 1,000 real users, about 150 of them held out"
    assert report.compared == f"a random 300 of 500 synthetic users and {real}"
    assert sum(report.histograms["synthetic_to_holdout"].counts) == 300


@pytest.mark.parametrize(
    ("upper", "p_value", "is_tolerated", "expected"),
    [
        (0.01, 0.5, True, Verdict.PASS),
        (0.01, 0.001, True, Verdict.PASS),
        (0.01, 0.001, False, Verdict.FAIL),
        (0.03, 0.001, True, Verdict.FAIL),
        (0.03, 0.5, True, Verdict.INCONCLUSIVE),
        (np.nan, 0.5, True, Verdict.FAIL),
        (0.01, np.nan, True, Verdict.FAIL),
    ],
)
def test_rule_of_verdicts(upper, p_value, is_tolerated, expected):
    figure = Figure.judged("x", Estimate(0.0, 0.0, upper, p_value), n=1, margin=0.02, is_tolerated=is_tolerated)
    assert figure.verdict == expected


@pytest.mark.parametrize("place", range(4))
def test_a_figure_any_of_whose_numbers_is_unknown_fails(place):
    numbers = [0.0, 0.0, 0.01, 0.5]
    numbers[place] = np.nan
    assert Figure.judged("x", Estimate(*numbers), n=1, margin=0.02).verdict == Verdict.FAIL


@pytest.mark.parametrize(("significance", "expected"), [(0.01, Verdict.INCONCLUSIVE), (0.1, Verdict.FAIL)])
def test_what_is_significant_is_the_gates_own_level(significance, expected):
    figure = Figure.judged("x", Estimate(0.02, 0.0, 0.04, 0.05), n=1, margin=0.02, significance=significance)
    assert figure.verdict == expected


def answer(upper: float, p_value: float) -> Figure:
    return Figure.judged(f"{upper}", Estimate(0.0, 0.0, upper, p_value), n=1, margin=0.02)


def test_of_several_figures_a_failure_decides_before_a_doubt_and_a_doubt_before_a_pass():
    passed, doubtful, failed = answer(0.01, 0.5), answer(0.03, 0.5), answer(0.03, 0.001)
    assert strictest((passed, doubtful, failed)) == failed
    assert strictest((passed, doubtful)) == doubtful
    assert strictest((passed, answer(0.015, 0.5))) == passed


def test_a_gate_that_fails_is_no_better_for_being_accepted():
    failed, doubtful = (
        GateVerdict(gate=gate, verdict=verdict, sentence="")
        for gate, verdict in (("membership", Verdict.FAIL), ("completion", Verdict.INCONCLUSIVE))
    )
    assert overall((failed, doubtful), ("membership", "completion")) == Verdict.FAIL
    assert overall((doubtful,), ("membership",)) == Verdict.INCONCLUSIVE
    assert overall((doubtful,), ("completion",)) == Verdict.PASS


def test_as_many_held_out_people_are_asked_for_as_the_neediest_figure_takes(real, monkeypatch):
    train, holdout, fresh = real
    evidence = gather(fresh, RealUsers.of(train, holdout, config=CONFIG, seed=0))
    wide, wider = Estimate(0.5, 0.4, 0.6, 0.5), Estimate(0.5, 0.2, 0.8, 0.5)
    for rare, needed in ((wide, 1000), (wider, 2000), (Estimate(0.7, 0.5, 0.9, 0.5), None)):
        measured = dict.fromkeys(["auc", "auc turned round", "most active auc", "auc of all at once"], wide)
        measured |= {"tpr": Estimate(0.0, 0.0, 0.01, 1.0), "rare taste auc": rare}
        monkeypatch.setattr("sdrm_core.privacy.gates.measure_membership", lambda *_, found=measured: found)
        gate = gates.judge_membership(evidence, CONFIG, np.random.default_rng(0))
        assert (gate.verdict, gate.holdout_needed) == (Verdict.INCONCLUSIVE, needed)


def test_the_users_needed_grow_with_the_square_of_the_width():
    figure = Figure.judged("x", Estimate(0.0, 0.0, 0.04, 0.5), n=1, margin=0.02)
    assert figure.users_needed(100) == 500  # 401, told no more precisely than that
    too_large = Figure.judged("x", Estimate(0.03, 0.0, 0.06, 0.5), n=1, margin=0.02)
    assert too_large.users_needed(100) is None


def test_share_closer_by_hand():
    is_holdout = np.array([False, False, True, True])
    miss = np.array([1, 0.5, 0.25, 0.125])  # each training user is in T' with chance one half
    index = np.array([[0, 2, -1], [2, 0, -1], [0, 2, 1], [0, 1, -1], [-1, -1, -1]], np.int32)
    similarity = np.array([[0.9, 0.5, 0], [0.9, 0.5, 0], [0.5, 0.5, 0.5], [0.9, 0.5, 0], [0, 0, 0]])
    # closer if user 0 is in T' | never | tie if 0 or 1 is | closer if 0 or 1 is, else both at 0 | all at 0
    expected = [0.5, 0, 0.75 / 2, 0.75 + 0.25 / 2, 0.5]
    for row, share in enumerate(expected):
        rows = slice(row, row + 1)
        assert share_closer(index[rows], similarity[rows], is_holdout, miss) == pytest.approx(share)


def test_a_users_rarest_pairs_by_hand():
    users = csr_matrix(np.array([[1, 1, 1, 0], [0, 1, 0, 1]], np.float32))
    postings = users.tocsc()
    lists = ((postings.indptr, postings.indices), (users.indptr, users.indices))
    people = np.array([[0, 2, 3, 1], [0, 0, 2, 4], [0, 0, 0, 0], [0, 0, 0, 0]], np.int32)
    synthetic = np.array([[0, 1, 0, 5], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]], np.int32)
    fewest, sums = np.full(2, 3), np.zeros((2, 3))
    for first in range(4):  # a block of one item each
        block = (people[first : first + 1], synthetic[first : first + 1])
        rarest_pairs(0, 2, first, lists, block, (np.array([1, 4, 2, 3]), 10), (fewest, sums))
    by_chance = (1 - np.exp(-4 / 10)) + (1 - np.exp(-8 / 10))
    np.testing.assert_allclose(sums, [[2, 1, by_chance], [0, 0, 0]])
    assert fewest.tolist() == [2, 3]


def completed(weights, own_pair, *, k):
    """Recall of one user with items 0, 2 and 4 of five, each hidden once."""
    recall = np.zeros(1)
    users = (np.array([0, 3], np.int32), np.array([0, 2, 4], np.int32))
    complete(0, 1, users, np.array([[0, 1, 2]], np.uint8), weights, own_pair, k, recall)
    return recall[0]


def test_hidden_items_are_ranked_among_items_not_given():
    weights = np.zeros((5, 5), np.float32)
    weights[0] = [9, 3, 4, 3.5, 1]  # item 2, hidden beside 0 and 4, is the best; item 4, hidden beside 0 and 2, is not
    weights[2], weights[4] = [0, 1, 9, 2, 1], [-1, 0, 0, 0, 9]  # item 0, hidden beside the two, is the last
    nothing = np.zeros(5, np.float32)
    assert completed(weights, nothing, k=1) == pytest.approx(1 / 3)
    assert completed(weights, nothing, k=2) == pytest.approx(1 / 3)
    assert completed(weights, nothing, k=3) == 1
    own = np.array([1, 0, 0.6, 0, 0], np.float32)  # less what the user itself put in, item 2 has 3.4: it is second
    assert completed(weights, own, k=1) == 0
    assert completed(weights, own, k=2) == pytest.approx(1 / 3)


def test_other_items_with_an_equal_score_count_half_an_item_ahead():
    alike = np.ones((5, 5), np.float32)  # a hidden item beside two others: one item ahead
    nothing = np.zeros(5, np.float32)
    assert [completed(alike, nothing, k=k) for k in (1, 2, 20)] == [0, 1, 1]
