"""The suites as data: complete, readable, and without a bound that a missing value would meet."""

import json

import pytest

from sdrm_core.config import (
    ColumnsConfig,
    FilterConfig,
    GatesConfig,
    MatrixGateConfig,
    PrivacyConfig,
    RawGateConfig,
    ReleaseGateConfig,
    SourceConfig,
    SyntheticGateConfig,
)
from sdrm_core.privacy.verdicts import GateVerdict, Verdict
from tasks.gates.expectations import Suite, in_set, rule
from tasks.gates.suites import (
    matrix_suite,
    raw_interactions_suite,
    release_suite,
    synthetic_facts_suite,
    synthetic_users_suite,
)

NOT_NULL = "expect_column_values_to_not_be_null"
ROW_COUNT = "expect_table_row_count_to_be_between"
# These pass over missing values.
BOUNDS = {
    "expect_column_values_to_be_between",
    "expect_column_max_to_be_between",
    "expect_column_values_to_be_in_set",
    "expect_column_values_to_be_unique",
}


def raw_suite(source: SourceConfig | None = None) -> Suite:
    return raw_interactions_suite(
        RawGateConfig(), source or SourceConfig(), user_id_type="integer", item_id_type="text"
    )


SUITES = {
    "raw_interactions": raw_suite(),
    "matrix": matrix_suite(MatrixGateConfig(), FilterConfig()),
    "synthetic users": synthetic_users_suite(users=7),
    "synthetic facts": synthetic_facts_suite(SyntheticGateConfig()),
    "release": release_suite(GatesConfig(), PrivacyConfig(accept_inconclusive=("membership",))),
}


def columns_of(suite: Suite, types: set[str]) -> set[str]:
    return {expectation["kwargs"]["column"] for expectation in suite if expectation["type"] in types}


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
class TestEverySuite:
    def test_pairs_each_bound_with_presence(self, suite):
        flags = {each["kwargs"]["column"] for each in suite if each["kwargs"].get("type_") == "bool"}  # never missing
        assert columns_of(suite, BOUNDS) <= columns_of(suite, {NOT_NULL}) | flags

    def test_counts_the_rows(self, suite):
        (count,) = [expectation for expectation in suite if expectation["type"] == ROW_COUNT]
        assert count["kwargs"]["min_value"] >= 1

    def test_is_plain_data(self, suite):
        assert json.loads(json.dumps(suite)) == suite

    def test_says_why_what_to_do_and_what_in_plain_words(self, suite):
        for expectation in suite:
            assert expectation["meta"]["why"]
            assert expectation["meta"]["remedy"].endswith(".")
            assert "expect_" not in rule(expectation)

    def test_states_nothing_twice(self, suite):
        rules = [(rule(expectation), expectation["severity"]) for expectation in suite]
        assert len(set(rules)) == len(rules)


def test_raw_suite_reads_as_sentences():
    assert [rule(expectation) for expectation in raw_suite()] == [
        "the columns are user_id, item_id, rating, is_repeated",
        "the number of rows is at least 100",
        "user_id has type int64",
        "item_id has type str",
        "user_id is never missing",
        "item_id is never missing",
        "rating is never missing",
        "rating has type float64",
        "rating is between 0 and 10",
        "is_repeated has type bool",
        "is_repeated is False in at least 0.5 of the rows",
    ]


def test_who_reads_of_a_rating_off_the_scale_is_told_the_column_as_the_source_has_it():
    suite = raw_suite(SourceConfig(columns=ColumnsConfig(rating="stars")))
    (scale,) = [each for each in suite if rule(each) == "rating is between 0 and 10"]
    assert "column 'stars'" in scale["meta"]["remedy"]


def test_raw_suite_of_implicit_events_with_time_expects_neither_rating_nor_time():
    source = SourceConfig(feedback="implicit", columns=ColumnsConfig(timestamp="when"))
    suite = raw_suite(source)
    assert suite[0]["kwargs"]["column_list"] == ["user_id", "item_id", "is_repeated"]
    assert columns_of(suite, {NOT_NULL}) == {"user_id", "item_id"}


def test_matrix_suite_takes_its_lower_limits_from_the_filter():
    suite = matrix_suite(MatrixGateConfig(min_users=12), FilterConfig(min_user_positives=3, min_item_positives=4))
    rules = [rule(expectation) for expectation in suite]
    assert "users is at least 12" in rules
    assert "fewest_user_positives is at least 3" in rules
    assert "fewest_item_positives is at least 4" in rules
    assert "repeated_cells is exactly 0" in rules


def test_release_suite_accepts_inconclusive_only_where_named_and_says_so():
    suite = release_suite(GatesConfig(), PrivacyConfig(accept_inconclusive=("membership",)))
    rules = {(rule(expectation), expectation["severity"]) for expectation in suite}
    assert ("privacy_membership is PASS or INCONCLUSIVE", "critical") in rules
    assert ("privacy_membership is PASS", "warning") in rules
    assert ("privacy_rare_pairs is PASS", "critical") in rules
    assert [each["severity"] for each in suite].count("warning") == 1


def test_release_suite_holds_each_measure_against_its_own_bound():
    release = ReleaseGateConfig(min_popularity_spearman=0.71, min_coverage=0.72, min_svd_recall_ratio=0.73)
    synthetic = SyntheticGateConfig(min_density_ratio=0.91, max_density_ratio=1.09, max_activity_ks=0.03)
    rules = [rule(each) for each in release_suite(GatesConfig(release=release, synthetic=synthetic), PrivacyConfig())]
    assert [each for each in rules if "never missing" not in each and not each.startswith("privacy_")] == [
        "the number of rows is exactly 1",
        "popularity_spearman is between 0.71 and 1",
        "coverage is between 0.72 and 1",
        "svd_recall_ratio is at least 0.73",
        "density_ratio is between 0.91 and 1.09",
        "activity_ks is between 0 and 0.03",
    ]


def test_why_popularity_cannot_be_ranked_is_not_told_as_why_it_is_ranked_low():
    missing, low = [
        each["meta"]["remedy"]
        for each in release_suite(GatesConfig(), PrivacyConfig())
        if each["kwargs"].get("column") == "popularity_spearman"
    ]
    assert missing.startswith("If all items are equally popular, there is no ranking")
    assert "longer training" not in missing
    assert "privacy.k_anonymity" in low


def test_who_has_items_of_about_equal_popularity_is_told_which_bound_asks_for_more_than_chance():
    *_, low = [
        each["meta"]["remedy"]
        for each in release_suite(GatesConfig(), PrivacyConfig())
        if each["kwargs"].get("column") == "popularity_spearman"
    ]
    assert "gates.release.min_popularity_spearman" in low
    assert "holdout" in low


@pytest.mark.parametrize(
    ("gate", "told"),
    [
        ("hygiene", "Run it again with another seed"),
        ("k_anonymous_items", "the draw of items has a bug"),
        ("dissimilarity", "privacy.min_dissimilarity"),
    ],
)
def test_a_gate_that_counts_exactly_advises_neither_more_users_nor_an_acceptance_that_it_never_needs(gate, told):
    remedies = [
        each["meta"]["remedy"]
        for each in release_suite(GatesConfig(), PrivacyConfig())
        if each["kwargs"].get("column") == f"privacy_{gate}"
    ]
    assert told in remedies[-1]
    assert not any("Use more users" in remedy or "accept" in remedy for remedy in remedies)


def test_release_suite_only_reports_a_gate_where_told_to_and_still_asks_for_its_verdict():
    config = PrivacyConfig(report_only=("membership",), accept_inconclusive=("rare_pairs", "membership"))
    suite = [each for each in release_suite(GatesConfig(), config) if "membership" in each["kwargs"].get("column", "")]
    assert [(rule(each), each["severity"]) for each in suite] == [
        ("privacy_membership is never missing", "critical"),
        ("privacy_membership is PASS", "warning"),
    ]
    assert [each["severity"] for each in release_suite(GatesConfig(), config)].count("warning") == 2


def test_a_privacy_gates_own_words_stand_beside_its_verdict():
    words = "Someone can tell who took part."
    plain, told = advice_on_membership(None), advice_on_membership(Verdict.FAIL, sentence=words)
    assert told["why"] == words
    assert told["remedy"] == f"{words} {plain['remedy']}"


def test_only_an_undecided_gate_is_advised_to_be_accepted():
    assert "a FAIL cannot be accepted" in advice_on_membership(Verdict.FAIL)["remedy"]
    assert "accept_inconclusive" not in advice_on_membership(Verdict.FAIL)["remedy"]
    assert "add membership to privacy.accept_inconclusive" in advice_on_membership(Verdict.INCONCLUSIVE)["remedy"]
    assert "FAIL" not in advice_on_membership(Verdict.INCONCLUSIVE)["remedy"]


def advice_on_membership(verdict, *, sentence="So it is."):
    """Return reason and remedy of the expectation that the gate answers PASS, if it answered ``verdict``."""
    answer = verdict and GateVerdict(gate="membership", verdict=verdict, sentence=sentence)
    suite = release_suite(GatesConfig(), PrivacyConfig(), answers={"membership": answer})
    return [each["meta"] for each in suite if each["kwargs"].get("column") == "privacy_membership"][-1]


def test_release_suite_expects_a_verdict_of_every_privacy_gate():
    columns = columns_of(release_suite(GatesConfig(), PrivacyConfig()), {NOT_NULL})
    assert {column for column in columns if column.startswith("privacy_")} == {
        "privacy_hygiene",
        "privacy_k_anonymous_items",
        "privacy_unique_copies",
        "privacy_near_copies",
        "privacy_closer_to_train",
        "privacy_membership",
        "privacy_rare_pairs",
        "privacy_completion",
        "privacy_dissimilarity",
    }


def test_a_share_found_by_subtraction_keeps_its_bound():
    assert 1 - 0.58 > 0.42
    assert in_set("flag", [False], min_share=1 - 0.58, why="", remedy="")["kwargs"]["mostly"] == 0.42


def test_rule_of_an_unknown_type_still_says_what_it_is():
    expectation = {"type": "expect_magic", "kwargs": {"column": "x"}, "severity": "critical", "meta": {}}
    assert rule(expectation) == "expect_magic with {'column': 'x'}"


@pytest.mark.parametrize(
    ("section", "bounds"),
    [
        (RawGateConfig, {"min_rating": 5, "max_rating": 1}),
        (MatrixGateConfig, {"min_density": 0.2, "max_density": 0.1}),
        (SyntheticGateConfig, {"min_density_ratio": 1.2}),
    ],
)
def test_bounds_between_which_nothing_lies_are_refused(section, bounds):
    with pytest.raises(ValueError, match="must not be above"):
        section(**bounds)
