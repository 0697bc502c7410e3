"""A gate lets nothing through in doubt, keeps nothing, says nothing, and asks nobody."""

import gc
import os
import subprocess
import sys
import textwrap
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.gates.evaluation import check, check_columns
from tasks.gates.expectations import Expectation, between, columns_are, fact, has_type, not_null, row_count

REPOSITORY = Path(__file__).parents[2]
SECRET = "alice@example.com"
WORDS = {"why": "a reason", "remedy": "A remedy."}
SUITE = [row_count(1, None, **WORDS), not_null("x", **WORDS), between("x", 0, 1, **WORDS)]


def test_no_expectation_is_an_error():
    with pytest.raises(ValueError, match="the suite has no expectation"):
        check("empty", [], pd.DataFrame({"x": [1.0]}))


def test_an_empty_table_meets_nothing():
    report = check("gate", SUITE, pd.DataFrame({"x": []}))
    assert {result.reason for result in report.results} == {"the table is empty"}
    assert report.verdict == "FAIL"


def test_a_bound_on_missing_values_alone_is_not_met():
    frame = pd.DataFrame({"x": [np.nan, np.nan]})
    (result,) = check("gate", [between("x", 0, 1, **WORDS)], frame).results
    assert (result.success, result.reason) == (False, "all values are missing")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_fact_that_is_not_finite_is_not_met(value):
    report = check("gate", fact("x", None, 1e9, **WORDS), pd.DataFrame({"x": [value]}))
    assert report.results[-1].success is False


def test_an_error_in_one_expectation_fails_it_alone():
    suite = [between("x", 0, 1, **WORDS), not_null("x", **WORDS), row_count(1, None, **WORDS)]
    report = check("gate", suite, pd.DataFrame({"x": ["text", "more"]}))
    assert [result.success for result in report.results] == [False, True, True]
    assert report.results[0].reason == "it could not be evaluated on the values of the table"
    assert report.verdict == "FAIL"


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "expect_the_unknown", "kwargs": {"column": "x"}},
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "x", "min_value": None}},
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "x", "surprise": 1}},
    ],
)
def test_a_suite_that_breaks_great_expectations_fails_whole(broken):
    expectation = Expectation(severity="critical", meta=WORDS, **broken)
    report = check("gate", [expectation, not_null("x", **WORDS)], pd.DataFrame({"x": [1.0]}))
    assert report.verdict == "FAIL"
    assert report.results[0].success is False
    assert report.results[0].reason


def test_no_value_of_a_secret_column_is_reported():
    frame = pd.DataFrame({"user_id": [41, 4242]})
    suite = [
        *fact("user_id", 0, 100, **WORDS),
        between("user_id", 0, 100, **WORDS),
        has_type("user_id", "str", **WORDS),
    ]
    report = check("gate", suite, frame)
    assert [result.success for result in report.results] == [True, False, False, False]
    assert report.results[2].examples == ({"row": 1},)
    assert report.results[3].observed == "int64"
    assert "4242" not in report.model_dump_json()


def test_the_table_is_not_kept_after_the_check():
    values = np.array([[1.0], [0.0]])
    kept = weakref.ref(values)
    frame = pd.DataFrame(values, columns=["x"], copy=False)
    del values
    check("gate", SUITE, frame)
    assert kept() is not None, "the frame made a copy: this test would see nothing"
    del frame
    gc.collect()
    assert kept() is None


SILENT_CHECK = """
    import logging, socket, sys

    attempts = []

    def refuse(*arguments, **keywords):
        attempts.append(arguments)
        raise OSError("no network")

    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, refuse)
    socket.getaddrinfo = refuse

    import pandas as pd
    from tasks.gates.expectations import between, not_null
    from tasks.gates.evaluation import check

    assert "great_expectations" not in sys.modules, "imported before it is needed"
    import great_expectations

    logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
    words = {"why": "a reason", "remedy": "A remedy."}
    frame = pd.DataFrame({"user_id": ["SECRET", None], "rating": ["SECRET", "x"]})
    report = check("gate", [not_null("user_id", **words), between("rating", 0, 1, **words)], frame)
    assert [result.success for result in report.results] == [False, False]
    assert attempts == []
"""


def test_a_check_is_silent_and_leaves_nothing_behind(tmp_path):
    folders = {name: tmp_path / name for name in ("HOME", "TMPDIR", "here")}
    for folder in folders.values():
        folder.mkdir()
    script = textwrap.dedent(SILENT_CHECK).replace("SECRET", SECRET)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folders.pop("here"),
        env=os.environ | {name: str(folder) for name, folder in folders.items()} | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert SECRET not in done.stdout
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["HOME", "TMPDIR", "here"]


def test_columns_come_one_by_one_and_none_is_kept_while_the_next_is_made():
    kept = []

    def columns():
        for name in ("x", "y"):
            gc.collect()
            assert [values() for values in kept] == [None] * len(kept), "a column before is still there"
            values = np.array([1.0, 0.0])
            kept.append(weakref.ref(values))
            yield name, pd.Series(values, copy=False)
            del values

    suite = [
        row_count(2, 2, **WORDS),
        columns_are(["x", "y"], **WORDS),
        not_null("y", **WORDS),
        between("x", 0, 0, **WORDS),
    ]
    report = check_columns("gate", suite, columns())
    assert [result.success for result in report.results] == [True, True, True, False]
    assert [result.rows for result in report.results] == [2] * 4
    assert report.results[3].examples == ({"row": 0, "value": 1.0},)
