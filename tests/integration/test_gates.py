"""The gates with the real Great Expectations: good tables pass, each planted fault is found, counted and shown."""

import json
from typing import get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from sdrm_core.config import (
    FilterConfig,
    GatesConfig,
    MatrixGateConfig,
    PrivacyConfig,
    PrivacyGate,
    RawGateConfig,
    SourceConfig,
    SyntheticGateConfig,
)
from sdrm_core.errors import GateFailed
from tasks.gates.checkpoints import refused_for_privacy
from tasks.gates.evaluation import check, require
from tasks.gates.frames import matrix_frame, raw_columns, synthetic_frame
from tasks.gates.suites import (
    matrix_suite,
    raw_interactions_suite,
    release_suite,
    synthetic_facts_suite,
    synthetic_users_suite,
)
from tasks.records import ExpectationResult, GateReport

SECRET = "alice@example.com"
N_ROWS = 200


def unmet(report: GateReport) -> dict[str, ExpectationResult]:
    return {result.rule: result for result in report.results if not result.success}


def raw_table() -> pd.DataFrame:
    """200 rows of 20 users, each with 10 different items; user 0 has a name."""
    row = np.arange(N_ROWS)
    user = np.array([SECRET if each == 0 else f"user {each:02d}" for each in row // 10])
    table = pa.table({"user_id": user, "item_id": row % 10, "rating": 1.0 + row % 5})
    return pd.DataFrame(dict(raw_columns(table)))


def check_raw(frame: pd.DataFrame, **bounds) -> GateReport:
    suite = raw_interactions_suite(RawGateConfig(**bounds), SourceConfig(), user_id_type="text", item_id_type="integer")
    return check("raw_interactions", suite, frame)


class TestRawInteractions:
    def test_a_good_log_passes(self):
        report = check_raw(raw_table())
        assert report.verdict == "PASS", unmet(report)
        require(report)

    @pytest.mark.parametrize(
        ("column", "rows", "value", "rule"),
        [
            ("user_id", [17, 30], None, "user_id is never missing"),
            ("rating", [3], np.nan, "rating is never missing"),
            ("rating", [11, 12, 190], 11.0, "rating is between 0 and 10"),
            ("rating", [5], np.inf, "rating is between 0 and 10"),
        ],
    )
    def test_faulty_rows_are_counted_and_shown(self, column, rows, value, rule):
        frame = raw_table()
        frame.loc[rows, column] = value
        report = check_raw(frame)
        (result,) = unmet(report).values()
        assert (report.verdict, result.rule) == ("FAIL", rule)
        assert (result.unexpected, result.rows) == (len(rows), N_ROWS)
        assert [example["row"] for example in result.examples] == rows
        with pytest.raises(
            GateFailed, match=rf"{rule}; not true in {len(rows)} of 200 rows, for example row {rows[0] + 1}"
        ):
            require(report)

    def test_the_example_is_the_value_and_json_has_it(self):
        frame = raw_table()
        frame.loc[[5, 6], "rating"] = [np.inf, 11.0]
        (result,) = unmet(check_raw(frame)).values()
        assert result.examples == ({"row": 5, "value": "inf"}, {"row": 6, "value": 11.0})

    def test_a_column_that_may_be_of_user_ids_by_mistake_is_not_quoted(self):
        frame = raw_table()
        frame["rating"] = 700_000.0 + frame.index
        frame.loc[[3, 5], "rating"] = [np.nan, 4.0]
        report = check_raw(frame)
        (result,) = (result for result in unmet(report).values() if "between" in result.rule)
        assert result.examples == ({"row": 0}, {"row": 1}, {"row": 2})
        with pytest.raises(GateFailed, match=r"not true in 198 of 200 rows, for example row 1\.") as refused:
            require(report)
        assert "700" not in str(refused.value)
        assert "700000" not in json.dumps(refused.value.report)

    @pytest.mark.parametrize(
        ("column", "dtype", "rule", "found"),
        [
            ("item_id", "float64", "item_id has type int64", "float64"),
            ("item_id", "str", "item_id has type int64", "str"),
            ("user_id", "object", "user_id has type str", "object"),
        ],
    )
    def test_a_wrong_type_is_named(self, column, dtype, rule, found):
        (result,) = unmet(check_raw(raw_table().astype({column: dtype}))).values()
        assert (result.rule, result.observed) == (rule, found)

    def test_columns_in_another_order(self):
        frame = raw_table()[["item_id", "user_id", "rating", "is_repeated"]]
        (result,) = unmet(check_raw(frame)).values()
        assert result.observed == ["item_id", "user_id", "rating", "is_repeated"]

    def test_a_missing_column_fails_all_that_need_it(self):
        results = unmet(check_raw(raw_table().drop(columns="rating")))
        assert results.pop("the columns are user_id, item_id, rating, is_repeated").reason == ""
        assert {result.reason for result in results.values()} == {"there is no column rating"}
        assert len(results) == 3

    def test_too_few_rows(self):
        (result,) = unmet(check_raw(raw_table(), min_rows=201)).values()
        assert (result.rule, result.observed) == ("the number of rows is at least 201", 200)

    def test_a_log_delivered_twice(self):
        frame = raw_table()
        rows = pd.concat([frame, frame], ignore_index=True).drop(columns="is_repeated")
        twice = pd.DataFrame(dict(raw_columns(pa.Table.from_pandas(rows))))
        assert check_raw(twice, max_repeated_share=0.5).verdict == "PASS"
        (result,) = unmet(check_raw(twice, max_repeated_share=0.49)).values()
        assert (result.unexpected, result.rows, result.examples[0]["row"]) == (200, 400, 200)

    def test_rows_are_named_by_position_whatever_the_index(self):
        frame = raw_table()
        frame.loc[7, "rating"] = 99.0
        frame.index = pd.Index(frame["user_id"], name="user_id")
        (result,) = unmet(check_raw(frame)).values()
        assert result.examples == ({"row": 7, "value": 99.0},)

    @pytest.mark.parametrize("dtype", ["str", "object"])
    def test_no_user_id_in_report_or_message(self, dtype):
        frame = raw_table().astype({"user_id": dtype})
        frame.loc[:2, "rating"] = 99.0
        frame.loc[5, "user_id"] = None
        broken = frame.assign(rating=frame["user_id"])  # ids mapped as ratings: every comparison raises
        for report in (check_raw(frame), check_raw(frame[["rating", "user_id"]]), check_raw(broken)):
            assert report.verdict == "FAIL"
            with pytest.raises(GateFailed) as caught:
                require(report)
            assert SECRET not in report.model_dump_json() + str(caught.value)


def user_items() -> csr_matrix:
    """20 users and 10 items in a band: 6 items a user, 12 users an item."""
    dense = [[(item - user) % 10 < 6 for item in range(10)] for user in range(20)]
    return csr_matrix(np.array(dense, dtype=np.float32))


def check_matrix(matrix: csr_matrix, **bounds) -> GateReport:
    limits = {"min_users": 20, "min_items": 10, "max_density": 0.6} | bounds
    return check("matrix", matrix_suite(MatrixGateConfig(**limits), FilterConfig()), matrix_frame(matrix))


class TestMatrix:
    def test_a_good_matrix_passes(self):
        assert check_matrix(user_items()).verdict == "PASS"

    @pytest.mark.parametrize(
        ("bounds", "rule", "observed"),
        [
            ({"min_users": 21}, "users is at least 21", 20),
            ({"min_items": 11}, "items is at least 11", 10),
            ({"max_density": 0.59}, "density is between 1e-06 and 0.59", 0.6),
        ],
    )
    def test_a_fact_out_of_bounds(self, bounds, rule, observed):
        (result,) = unmet(check_matrix(user_items(), **bounds)).values()
        assert (result.rule, result.observed) == (rule, observed)

    def test_an_empty_user(self):
        matrix = user_items().tolil()
        matrix[3] = 0
        (result,) = unmet(check_matrix(matrix.tocsr())).values()
        assert (result.rule, result.observed) == ("fewest_user_positives is at least 5", 0)

    def test_an_empty_item(self):
        matrix = csr_matrix(np.pad(user_items().toarray(), ((0, 0), (0, 1))))
        (result,) = unmet(check_matrix(matrix)).values()
        assert (result.rule, result.observed) == ("fewest_item_positives is at least 5", 0)

    def test_no_matrix_at_all(self):
        assert check_matrix(csr_matrix((0, 0))).verdict == "FAIL"


def synthetic_users(n_users: int = 20) -> pd.DataFrame:
    return synthetic_frame(user_items(), first_user=0, publishable=np.ones(10, dtype=bool)).head(n_users)


class TestSynthetic:
    def test_good_users_pass(self):
        report = check("synthetic", synthetic_users_suite(users=20), synthetic_users())
        assert report.verdict == "PASS", unmet(report)

    @pytest.mark.parametrize(
        ("column", "value", "rule"),
        [
            ("user", 8, "user never repeats"),
            ("items", 0, "items is at least 1"),
            ("repeated_items", 1, "repeated_items is exactly 0"),
            ("foreign_items", 2, "foreign_items is exactly 0"),
            ("unpublishable_items", 1, "unpublishable_items is exactly 0"),
        ],
    )
    def test_a_faulty_user_is_found(self, column, value, rule):
        frame = synthetic_users()
        frame.loc[9, column] = value
        (result,) = unmet(check("synthetic", synthetic_users_suite(users=20), frame)).values()
        assert result.rule == rule
        assert {"row": 9, "value": value} in result.examples
        assert result.unexpected == (2 if column == "user" else 1)

    def test_users_missing(self):
        (result,) = unmet(check("synthetic", synthetic_users_suite(users=20), synthetic_users(19))).values()
        assert (result.rule, result.observed) == ("the number of rows is exactly 20", 19)

    def test_numbers_that_are_not_whole(self):
        frame = synthetic_users().astype({"items": "float64"})
        (result,) = unmet(check("synthetic", synthetic_users_suite(users=20), frame)).values()
        assert (result.rule, result.observed) == ("items has type int64", "float64")

    @pytest.mark.parametrize(
        ("facts", "rules"),
        [
            ({"density_ratio": 1.0, "activity_ks": 0.08}, set()),
            ({"density_ratio": 1.06, "activity_ks": 0.05}, {"density_ratio is between 0.95 and 1.05"}),
            ({"density_ratio": 1.0, "activity_ks": 0.0801}, {"activity_ks is between 0 and 0.08"}),
        ],
    )
    def test_facts(self, facts, rules):
        report = check("synthetic", synthetic_facts_suite(SyntheticGateConfig()), pd.DataFrame([facts]))
        assert set(unmet(report)) == rules
        assert report.verdict == ("FAIL" if rules else "PASS")


MEASURES = {
    "popularity_spearman": 0.97,
    "coverage": 0.95,
    "svd_recall_ratio": 1.02,
    "density_ratio": 1.0,
    "activity_ks": 0.03,
}
VERDICTS = {f"privacy_{gate}": "PASS" for gate in get_args(PrivacyGate)}


def check_release(facts: dict[str, object], *accepted: str) -> GateReport:
    suite = release_suite(GatesConfig(), PrivacyConfig(accept_inconclusive=accepted))
    return check("release", suite, pd.DataFrame([facts]))


class TestRelease:
    def test_a_good_release_passes(self):
        report = check_release(MEASURES | VERDICTS)
        assert report.verdict == "PASS", unmet(report)

    @pytest.mark.parametrize(
        ("measure", "value", "rule"),
        [
            ("popularity_spearman", 0.79, "popularity_spearman is between 0.8 and 1"),
            ("coverage", 0.5, "coverage is between 0.8 and 1"),
            ("svd_recall_ratio", 0.69, "svd_recall_ratio is at least 0.7"),
            ("density_ratio", 1.75, "density_ratio is between 0.95 and 1.05"),
            ("activity_ks", 0.2, "activity_ks is between 0 and 0.08"),
        ],
    )
    def test_a_measure_out_of_bounds(self, measure, value, rule):
        (result,) = unmet(check_release(MEASURES | VERDICTS | {measure: value})).values()
        assert (result.rule, result.observed) == (rule, value)

    @pytest.mark.parametrize("value", [np.nan, None, np.inf, "0.9", "PASS"])
    def test_a_measure_that_is_no_number_fails(self, value):
        report = check_release(MEASURES | VERDICTS | {"svd_recall_ratio": value})
        assert report.verdict == "FAIL"
        assert {result.column for result in unmet(report).values()} == {"svd_recall_ratio"}
        json.dumps(report.model_dump(mode="json"), allow_nan=False)

    @pytest.mark.parametrize("verdict", ["FAIL", "INCONCLUSIVE", "pass", "", None, np.nan, True])
    def test_only_a_pass_is_a_pass(self, verdict):
        report = check_release(MEASURES | VERDICTS | {"privacy_membership": verdict})
        assert report.verdict == "FAIL"
        assert {result.column for result in unmet(report).values()} == {"privacy_membership"}

    def test_an_inconclusive_that_is_accepted_is_shown_and_does_not_stop(self):
        facts = MEASURES | VERDICTS | {"privacy_membership": "INCONCLUSIVE"}
        report = check_release(facts, "membership")
        (result,) = unmet(report).values()
        assert (report.verdict, result.severity, result.rule) == ("PASS", "warning", "privacy_membership is PASS")
        require(report)
        assert check_release(facts, "rare_pairs").verdict == "FAIL"
        assert check_release(facts | {"privacy_membership": "FAIL"}, "membership").verdict == "FAIL"

    def test_a_privacy_gate_that_did_not_run_fails(self):
        verdicts = {name: verdict for name, verdict in VERDICTS.items() if name != "privacy_hygiene"}
        report = check_release(MEASURES | verdicts)
        assert {result.reason for result in unmet(report).values()} == {"there is no column privacy_hygiene"}

    @pytest.mark.parametrize(
        ("facts", "expected"),
        [
            ({"privacy_membership": "FAIL"}, True),
            ({"privacy_membership": "INCONCLUSIVE", "privacy_completion": "FAIL"}, True),
            ({"privacy_membership": "FAIL", "svd_recall_ratio": 0.1}, True),
            ({"privacy_membership": "FAIL", "privacy_hygiene": "FAIL"}, True),
            ({"privacy_hygiene": "FAIL"}, False),
            ({"privacy_k_anonymous_items": "FAIL"}, False),
            ({"svd_recall_ratio": 0.1}, False),
        ],
    )
    def test_more_randomness_is_for_what_it_can_change(self, facts, expected):
        with pytest.raises(GateFailed) as caught:
            require(check_release(MEASURES | VERDICTS | facts))
        assert refused_for_privacy(caught.value) == expected

    def test_two_rows_of_facts_fail(self):
        suite = release_suite(GatesConfig(), PrivacyConfig())
        report = check("release", suite, pd.DataFrame([MEASURES | VERDICTS] * 2))
        assert set(unmet(report)) == {"the number of rows is exactly 1"}
