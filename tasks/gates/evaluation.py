"""Evaluate the quality gates with Great Expectations (used only in this module), and show their reports.

In doubt a gate fails: an expectation is met only if there was data to evaluate, the evaluation raised no error and its
result is a success. ``check`` returns a failed gate as a report; only ``require`` raises an exception for it.
"""

import html
import math
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from sdrm_core.errors import GateFailed
from tasks.gates.expectations import Expectation, Suite, in_words, rule
from tasks.gates.suites import USER
from tasks.records import ExpectationResult, GateReport

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.data_context.data_context.ephemeral_data_context import EphemeralDataContext

# Values of these columns appear neither in reports nor in messages.
_SECRET_COLUMNS = frozenset({USER})
_EXAMPLES = 3
# BASIC, with example rows: SUMMARY would list the index of every unexpected row, and COMPLETE also their values.
_RESULT_FORMAT = {"result_format": "BASIC", "partial_unexpected_count": _EXAMPLES, "include_unexpected_rows": True}


@dataclass(frozen=True)
class _Answer:
    """The result of Great Expectations for one expectation; ``reason`` says why the result does not count."""

    success: bool = False
    found: Mapping[str, Any] = field(default_factory=dict)
    reason: str = "there is no result"


def preload() -> None:
    """Import Great Expectations, which takes seconds; call this while the program waits for something else."""
    import great_expectations  # noqa: F401


def check(gate: str, suite: Suite, frame: pd.DataFrame) -> GateReport:
    """Evaluate a suite on a table.

    Args:
        gate: name of the gate.
        suite: at least one expectation.
        frame: the table. Its index is ignored; rows are identified by their position, from 0.

    Returns:
        The report; the verdict is FAIL if a critical expectation is not met, for whatever reason.

    Raises:
        ValueError: the suite is empty; such a gate would pass everything.
    """
    table = frame.reset_index(drop=True)
    return _report(gate, suite, _ask(gate, dict(enumerate(suite)), table), table)


def check_columns(gate: str, suite: Suite, columns: Iterable[tuple[Hashable, pd.Series]]) -> GateReport:
    """Evaluate a suite on a table given column by column, so that only one column is in memory at a time.

    Args:
        gate: name of the gate.
        suite: at least one expectation.
        columns: name and values of each column; all of equal length, indexed from 0.

    Returns:
        A report as ``check`` returns it.

    Raises:
        ValueError: the suite is empty.
    """
    answers: dict[int, _Answer] = {}
    names: list[Hashable] = []
    n_rows = 0
    for name, values in columns:
        names.append(name)
        n_rows = len(values)
        answers |= _ask(gate, _about(name, suite), values.to_frame(name))
        del values
    outline = pd.DataFrame(False, index=range(n_rows), columns=names)  # holds only column names and row count
    answers |= _ask(gate, _about(None, suite), outline)
    return _report(gate, suite, answers, outline)


def combined(reports: Sequence[GateReport]) -> GateReport:
    """Combine the reports of one gate on several tables into one report; at least one report."""
    results = tuple(result for report in reports for result in report.results)
    return GateReport(gate=reports[0].gate, verdict=_verdict(results), results=results)


def require(report: GateReport) -> None:
    """Raise an error unless the gate passed.

    Raises:
        GateFailed: the gate failed; the message names each unmet expectation with its rows, an example and the remedy.
    """
    if report.verdict == "PASS":
        return
    headline = f"Gate {report.gate} failed: {len(report.unmet)} of {len(report.results)} expectations are not met."
    if any(result.examples and result.rows > 1 for result in report.unmet):
        headline += " Rows are numbered through all files, without header lines."
    lines = [f"- {told(result)}. {result.remedy}" for result in report.unmet]
    raise GateFailed("\n".join([headline, *lines]), gate=report.gate, report=report.model_dump(mode="json"))


def told(result: ExpectationResult) -> str:
    """Return what was expected and what was found, in words."""
    return f"expected: {result.rule}; {finding(result)}"


def finding(result: ExpectationResult) -> str:
    """Return what was found, in words, e.g. ``not true in 3 of 1,000 rows, for example row 17 (11.0)``."""
    if result.reason:
        return result.reason
    if result.unexpected is None:
        return f"found {in_words(result.observed)}"
    if result.unexpected == 0:
        return "true in every row"
    first = result.examples[0]
    if result.rows == 1 and "value" in first:
        return f"found {in_words(first['value'])}"
    value = f" ({in_words(first['value'])})" if "value" in first else ""
    return f"not true in {result.unexpected:,} of {result.rows:,} rows, for example row {first['row'] + 1}{value}"


def gate_markdown(report: GateReport) -> str:
    """Return the report as a Markdown table with one line for each expectation, unmet expectations first."""
    lines = [f"## Gate {_cell(report.gate)}: {report.verdict}", "", "| | expected | found | why |", "|---|---|---|---|"]
    lines += [
        f"| {_mark(result)} | {_cell(result.rule)} | {_cell(finding(result))} | {_cell(result.why)} |"
        for result in sorted(report.results, key=lambda result: result.success)
    ]
    return "\n".join(lines) + "\n"


def _about(column: Hashable, suite: Suite) -> dict[int, Expectation]:
    """Return the expectations about one column (None: about the whole table), each by its position in the suite."""
    return {number: each for number, each in enumerate(suite) if each["kwargs"].get("column") == column}


def _ask(gate: str, asked: Mapping[int, Expectation], table: pd.DataFrame) -> dict[int, _Answer]:
    """Evaluate the expectations; return the answers by the same numbers."""
    if not asked:
        return {}
    try:
        validations = _validate(gate, asked, table).results
    except Exception as error:  # noqa: BLE001 - whatever it was, the gate has not passed
        # Only the class of the error: its message may quote values of the table.
        crashed = _Answer(reason=f"Great Expectations stopped with {type(error).__name__}")
        return dict.fromkeys(asked, crashed)
    return {_number(validation): _read(validation) for validation in validations}


def _number(validation: "ExpectationValidationResult") -> int:
    """Return the number of the expectation; Great Expectations returns results in another order."""
    return int(validation.expectation_config.meta["number"])


def _read(validation: "ExpectationValidationResult") -> _Answer:
    found = validation.result
    observed = found.get("observed_value")
    reason = ""
    if _raised(validation.exception_info):
        reason = "it could not be evaluated on the values of the table"
    elif validation.success is None:
        reason = "there is no verdict"
    elif isinstance(observed, float) and not math.isfinite(observed):
        reason = f"the observed value {observed} cannot be compared with a bound"
    elif found.get("element_count") and found.get("missing_count") == found["element_count"]:
        reason = "all values are missing"
    return _Answer(success=validation.success is True and not reason, found=found, reason=reason)


def _raised(info: Mapping[str, Any]) -> bool:
    """Return whether Great Expectations caught an error; ``info`` describes one evaluation or one for each metric."""
    infos = [info] if "raised_exception" in info else info.values()
    return any(each["raised_exception"] for each in infos)


def _validate(gate: str, asked: Mapping[int, Expectation], table: pd.DataFrame) -> "ExpectationSuiteValidationResult":
    """Run Great Expectations on the table in memory, without files, network or progress bar."""
    import great_expectations as gx  # imported here: it takes seconds, and only gates need it
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.metadata_types import FailureSeverity

    context = _context()
    expectations = [
        ExpectationConfiguration(
            type=expectation["type"],
            kwargs=expectation["kwargs"],
            severity=FailureSeverity(expectation["severity"]),
            meta={"number": number},
        ).to_domain_obj()
        for number, expectation in asked.items()
    ]
    source = context.data_sources.add_pandas(gate)
    batch_definition = source.add_dataframe_asset(gate).add_batch_definition_whole_dataframe(gate)
    try:
        batch = batch_definition.get_batch(batch_parameters={"dataframe": table})
        gx_suite = gx.ExpectationSuite(name=gate, expectations=expectations)
        return batch.validate(gx_suite, result_format=_RESULT_FORMAT)
    finally:
        context.data_sources.delete(gate)  # the context stays alive as a global and would keep the table


def _context() -> "EphemeralDataContext":
    """Return a new context (this takes milliseconds) that, unlike the default, creates no directory for documents."""
    import great_expectations as gx
    from great_expectations.data_context.types import base

    config = base.DataContextConfig(
        analytics_enabled=False,
        progress_bars=base.ProgressBarsConfig(globally=False),
        store_backend_defaults=base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _report(gate: str, suite: Suite, answers: Mapping[int, _Answer], table: pd.DataFrame) -> GateReport:
    """Combine the answers to a report; ``table`` has the columns and the number of rows of what was checked."""
    if not suite:
        raise ValueError(f"gate {gate}: the suite has no expectation. Give it at least one")
    results = tuple(
        _result(expectation, answers.get(number, _Answer()), table) for number, expectation in enumerate(suite)
    )
    return GateReport(gate=gate, verdict=_verdict(results), results=results)


def _result(expectation: Expectation, answer: _Answer, table: pd.DataFrame) -> ExpectationResult:
    column = expectation["kwargs"].get("column")
    reason = answer.reason
    if table.empty:
        reason = "the table is empty"
    elif column is not None and column not in table.columns:
        reason = f"there is no column {column}"
    found: Mapping[str, Any] = {} if reason else answer.found
    return ExpectationResult(
        type=expectation["type"],
        column=column,
        rule=rule(expectation),
        severity=expectation["severity"],
        success=answer.success and not reason,
        observed=_observed(expectation, found),
        unexpected=found.get("unexpected_count"),
        rows=len(table),
        examples=_examples(found.get("unexpected_rows"), column, is_secret=_may_be_ids(found, rows=len(table))),
        reason=reason,
        **expectation["meta"],
    )


def _observed(expectation: Expectation, found: Mapping[str, Any]) -> Any:
    if expectation["kwargs"].get("column") in _SECRET_COLUMNS and expectation["type"] != "expect_column_type_to_be":
        return None
    return _plain(found.get("observed_value"))


def _may_be_ids(found: Mapping[str, Any], *, rows: int) -> bool:
    """Return whether more than half of a column's values are unexpected: it may then hold user ids by mistake."""
    n_values = found.get("element_count", 0) - found.get("missing_count", 0)
    return rows > 1 and 2 * found.get("unexpected_count", 0) > n_values


def _examples(rows: pd.DataFrame | None, column: str | None, *, is_secret: bool) -> tuple[dict[str, Any], ...]:
    if rows is None:
        return ()
    positions = rows.index.tolist()
    if is_secret or column in _SECRET_COLUMNS:
        return tuple({"row": position} for position in positions)
    return tuple(
        {"row": position, "value": _plain(value)} for position, value in zip(positions, rows[column], strict=True)
    )


def _plain(value: Any) -> Any:
    """Return the value in a JSON-compatible form: NumPy scalars become Python values, NaN None, other types text."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str | bool | int):
        return value
    if value is None or pd.isna(value):
        return None
    return value if isinstance(value, float) and math.isfinite(value) else str(value)


def _verdict(results: Sequence[ExpectationResult]) -> Literal["PASS", "FAIL"]:
    return "FAIL" if any(result.stops for result in results) else "PASS"


def _mark(result: ExpectationResult) -> str:
    if result.success:
        return "ok"
    return "**FAIL**" if result.stops else "warning"


def _cell(text: str) -> str:
    """Return the text on one line with markup escaped, so that a Markdown table shows it unchanged."""
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", html.escape(" ".join(text.split()), quote=False))
