"""What becomes of a gate's report: the refusal's sentence and the table. Great Expectations is not needed here."""

import pytest

from sdrm_core.errors import GateFailed
from tasks.gates.evaluation import combined, finding, gate_markdown, require
from tasks.records import ExpectationResult, GateReport


def result(**changes) -> ExpectationResult:
    """A met expectation on ratings, with changes."""
    met = {
        "type": "expect_column_values_to_be_between",
        "column": "rating",
        "rule": "rating is between 0 and 10",
        "severity": "critical",
        "success": True,
        "observed": None,
        "unexpected": 0,
        "rows": 1000,
        "examples": (),
        "reason": "",
        "why": "ratings are on a scale",
        "remedy": "Correct the source.",
    }
    return ExpectationResult(**(met | changes))


UNMET = result(success=False, unexpected=3, examples=({"row": 17, "value": 11.0}, {"row": 20, "value": 12.0}))
WARNED = result(success=False, unexpected=1, examples=({"row": 0},), severity="warning")


def report(*results: ExpectationResult, verdict: str = "PASS") -> GateReport:
    return GateReport(gate="raw_interactions", verdict=verdict, results=results)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "true in every row"),
        ({"unexpected": None, "observed": 1234567}, "found 1,234,567"),
        ({"unexpected": None, "observed": 0.123456789}, "found 0.123457"),
        ({"unexpected": None}, "found nothing"),
        ({"rows": 1, "unexpected": 1, "examples": ({"row": 0, "value": "FAIL"},)}, "found FAIL"),
        ({"unexpected": 2, "examples": ({"row": 4},)}, "not true in 2 of 1,000 rows, for example row 5"),
        ({"reason": "the table is empty"}, "the table is empty"),
    ],
)
def test_finding(changes, sentence):
    assert finding(result(**changes)) == sentence


def test_require_returns_on_a_pass():
    require(report(result(), WARNED))


def test_require_names_each_unmet_expectation_with_rows_example_and_remedy():
    refused = report(result(), UNMET, WARNED, verdict="FAIL")
    with pytest.raises(GateFailed) as caught:
        require(refused)
    assert str(caught.value) == (
        "Gate raw_interactions failed: 1 of 3 expectations are not met. "
        "Rows are numbered through all files, without header lines.\n"
        "- expected: rating is between 0 and 10; not true in 3 of 1,000 rows, for example row 18 (11). "
        "Correct the source."
    )
    assert caught.value.gate == "raw_interactions"
    assert GateReport(**caught.value.report) == refused


def test_how_rows_are_counted_is_told_only_where_a_row_is_named():
    of_one_fact = result(success=False, rows=1, unexpected=1, examples=({"row": 0, "value": "FAIL"},))
    with pytest.raises(GateFailed) as caught:
        require(report(of_one_fact, result(success=False, unexpected=None, observed=3), verdict="FAIL"))
    assert "Rows are numbered" not in str(caught.value)


def test_combined_fails_if_one_part_does():
    both = combined([report(result()), report(UNMET, verdict="FAIL")])
    assert both.verdict == "FAIL"
    assert both.results == (result(), UNMET)
    assert combined([report(result()), report(WARNED)]).verdict == "PASS"


def test_markdown_lists_the_unmet_first():
    lines = gate_markdown(report(result(), WARNED, UNMET, verdict="FAIL")).splitlines()
    assert lines[0] == "## Gate raw\\_interactions: FAIL"
    assert [line.split(" | ")[0] for line in lines[4:]] == ["| warning", "| **FAIL**", "| ok"]


def test_markdown_shows_foreign_text_as_it_is():
    hostile = result(rule="a|b\nc <script> `x` [y](z) *w*", success=False)
    (row,) = gate_markdown(report(hostile)).splitlines()[4:]
    assert row.count(" | ") == 3
    assert r"a\|b c &lt;script&gt; \`x\` \[y\](z) \*w\*" in row
