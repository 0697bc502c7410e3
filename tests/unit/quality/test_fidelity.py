import json

import numpy as np
import pytest
from scipy.sparse import csr_matrix, vstack

from sdrm_core.errors import DataError
from sdrm_core.quality.baselines import sample_by_popularity
from sdrm_core.quality.fidelity import FIGURES, measure_fidelity
from sdrm_core.quality.marginals import activity_figures, popularity_figures
from sdrm_core.quality.structure import CooccurrenceReference, classifier_auc

from .communities import binary, community_users


@pytest.fixture(scope="module")
def train():
    return community_users(users=300, seed=1)


@pytest.fixture(scope="module")
def report_on_a_copy(train):
    return measure_fidelity(train, train=train, holdout=train[:0], k_anonymity=1, seed=0)


def test_a_copy_is_ideal_in_every_figure(report_on_a_copy):
    report = report_on_a_copy
    for name, figure in report.figures.items():
        if name != "classifier_auc":
            assert figure.synthetic == pytest.approx(figure.ideal), name
    assert report.synthetic("popularity_total_variation") == 0
    assert report.synthetic("activity_ks") == 0
    assert list(report.figures) == list(FIGURES)


def test_popularity_figures_by_hand():
    reference = binary([[1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 1, 0]])  # 4 4 2 1 1 0
    candidate = binary([[1, 0, 1, 0, 0, 0], [1, 0, 0, 0, 0, 1]])  # 2 0 1 0 0 1; the last item is not of the catalogue
    publishable = np.array([True, True, True, False, False, False])
    figures = popularity_figures(candidate, reference, publishable=publishable)
    # shares 2/3 0 1/3 0 0 against 4/12 4/12 2/12 1/12 1/12
    assert figures["popularity_total_variation"] == pytest.approx((1 / 3 + 1 / 3 + 1 / 6 + 1 / 12 + 1 / 12) / 2)
    # ranks 5 2 4 2 2 against 4.5 4.5 3 1.5 1.5
    assert figures["popularity_spearman"] == pytest.approx(np.corrcoef([5, 2, 4, 2, 2], [4.5, 4.5, 3, 1.5, 1.5])[0, 1])
    assert figures["popularity_gini"] == pytest.approx(2 * (4 * 1 + 5 * 2) / (5 * 3) - 6 / 5)
    assert figures["publishable_gini"] == pytest.approx(2 * (2 * 1 + 3 * 2) / (3 * 3) - 4 / 3)
    assert figures["catalogue_coverage"] == pytest.approx(2 / 3)
    # the tail is 4 of 5 items: the lower three, and half of each of the two tied on top
    assert figures["tail_share"] == pytest.approx(1 / 3 + 0.5 * 2 / 3)


def test_activity_figures_by_hand():
    reference = binary([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]])
    candidate = binary([[0, 0, 0, 0], [1, 1, 0, 0]])
    assert activity_figures(np.diff(candidate.indptr), np.diff(reference.indptr)) == {
        "activity_ks": 0.5,
        "activity_mean": 1.0,
        "activity_sd": 1.0,
        "activity_max": 2.0,
        "empty_user_share": 0.5,
        "density_ratio": pytest.approx(0.4),
    }


def test_cooccurrence_compares_cosines_of_frequent_pairs():
    reference = binary([[1, 1, 0]] * 5 + [[0, 1, 1]] * 6 + [[1, 0, 1]] * 4 + [[1, 0, 0]] * 9)
    candidate = binary([[1, 1, 0], [0, 1, 1], [0, 1, 1]])
    pairs = CooccurrenceReference(reference, seed=0)
    assert pairs.correlation_with(reference) == pytest.approx(1)
    # two pairs are frequent; cosines 5/sqrt(18*11) < 6/sqrt(11*10), and 1/sqrt(3) < 2/sqrt(6) in the candidate
    assert pairs.correlation_with(candidate) == pytest.approx(1)


def test_where_no_pair_of_items_is_frequent_nothing_is_known_of_pairs():
    reference = binary(np.eye(6))
    assert CooccurrenceReference(reference, seed=0).correlation_with(reference) is None


def test_a_classifier_cannot_tell_fresh_real_users_but_tells_independent_items(train):
    assert classifier_auc(community_users(users=300, seed=7), train, seed=0) == pytest.approx(0.5, abs=0.1)
    assert classifier_auc(sample_by_popularity(train, users=300, seed=0), train, seed=0) > 0.7


def test_few_users_give_no_classifier_figure(train):
    assert classifier_auc(train[:19], train, seed=0) is None


def test_without_holdout_its_column_is_null(report_on_a_copy):
    assert {figure.holdout for figure in report_on_a_copy.figures.values()} == {None}
    assert report_on_a_copy.holdout_users == 0


def test_holdout_users_show_what_perfect_looks_like(train):
    fresh = community_users(users=15, seed=2)
    report = measure_fidelity(fresh, train=train, holdout=fresh, k_anonymity=1, seed=0)
    for figure in report.figures.values():
        assert figure.holdout == figure.synthetic


def test_what_is_published_of_activity_is_held_against_what_may_be_published():
    most_active = np.ones((1, 40))
    others = np.eye(30, 40) + np.eye(30, 40, 1)
    train, synthetic = binary(np.vstack([others, most_active])), binary(np.vstack([others, others[:1]]))
    report = measure_fidelity(synthetic, train=train, holdout=train, k_anonymity=2, seed=0)
    assert report.synthetic("density_ratio") == pytest.approx(62 / 100)
    shown = report.published
    assert (shown["density_ratio"].synthetic, shown["density_ratio"].holdout) == (1, 1)
    assert (shown["activity_sd"].ideal, shown["activity_mean"].ideal) == (0, 2)
    assert report.figures["activity_sd"].ideal > 1


def test_how_active_the_most_active_user_is_changes_nothing_that_is_published(train):
    tops = [binary([[1] * most + [0] * (60 - most)]) for most in (58, 60)]
    shown = [
        measure_fidelity(train[:15], train=vstack([train, top]).tocsr(), holdout=train[:15], k_anonymity=5, seed=0)
        for top in tops
    ]
    assert shown[0].published == shown[1].published
    assert shown[0].figures["activity_sd"].ideal != shown[1].figures["activity_sd"].ideal


def test_the_report_is_plain_json_even_when_figures_are_undefined():
    same = binary(np.ones((6, 4)))
    report = measure_fidelity(same, train=same, holdout=same[:2], k_anonymity=9, seed=0)
    assert report.synthetic("popularity_spearman") is None
    assert report.synthetic("catalogue_coverage") is None
    assert (
        type(report).model_validate(json.loads(json.dumps(report.model_dump(mode="json"), allow_nan=False))) == report
    )


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float64])
def test_cooccurrence_does_not_depend_on_the_type_of_the_ones(train, dtype):
    fresh = community_users(users=300, seed=2)
    expected = CooccurrenceReference(train, seed=0).correlation_with(fresh)
    found = CooccurrenceReference(train.astype(dtype), seed=0).correlation_with(fresh.astype(dtype))
    assert found == pytest.approx(expected)


def test_no_synthetic_user_at_all_is_refused(train):
    with pytest.raises(DataError, match="synthetic users"):
        measure_fidelity(csr_matrix((0, 60), dtype=np.float32), train=train, holdout=train, k_anonymity=1, seed=0)


def test_users_without_items_are_measured_as_what_they_are(train):
    nothing = csr_matrix((30, 60), dtype=np.float32)
    report = measure_fidelity(nothing, train=train, holdout=train, k_anonymity=1, seed=0)
    assert report.synthetic("empty_user_share") == report.synthetic("activity_ks") == 1
    assert report.synthetic("density_ratio") == report.synthetic("catalogue_coverage") == 0
    assert report.synthetic("popularity_spearman") is report.synthetic("cooccurrence_correlation") is None
    assert report.synthetic("classifier_auc") == 1
    assert report.figures["popularity_spearman"].holdout == 1


def test_published_curves_speak_of_as_many_people_as_anything_published(train):
    curves = measure_fidelity(train, train=train, holdout=train[:0], k_anonymity=40, seed=0).curves
    assert curves.activity_real[-1] * 300 >= 40
    assert min(curves.popularity_real) * 300 >= 40


def test_unseen_users_of_one_law_cannot_be_told_from_those_looked_at_by_their_own_popularity():
    generator = np.random.default_rng(0)
    of_one_law = binary(generator.random((3_000, 2_000)) < 0.004)
    of_one_law = of_one_law[np.diff(of_one_law.indptr) > 0]
    assert classifier_auc(of_one_law[:1_000], of_one_law[1_000:2_000], seed=0) == pytest.approx(0.5, abs=0.05)


def test_curves_are_short_and_start_at_the_top(train, report_on_a_copy):
    curves = report_on_a_copy.curves
    counts = np.asarray(train.sum(axis=0)).ravel() / 300
    assert curves.popularity_rank[0] == 1
    assert curves.popularity_real[0] == pytest.approx(counts.max())
    assert curves.popularity_synthetic == curves.popularity_real == curves.popularity_synthetic_by_real_rank
    assert list(curves.popularity_real) == sorted(curves.popularity_real, reverse=True)
    assert len(curves.popularity_rank) <= 60
    assert curves.activity_real[0] == 1
    assert curves.activity_real[-1] * 300 >= 5
