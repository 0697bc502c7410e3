"""Expectations of the gates: one function creates each kind, and ``rule`` describes an expectation in plain words."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict


class Reasons(TypedDict):
    """The reason for an expectation, and what to do if it is not met."""

    why: str
    remedy: str


class Expectation(TypedDict):
    """Type and arguments of one expectation of Great Expectations; only a critical expectation stops the run."""

    type: str
    kwargs: dict[str, Any]
    severity: Literal["critical", "warning"]
    meta: Reasons


Suite = list[Expectation]


def columns_are(columns: Sequence[str], *, why: str, remedy: str) -> Expectation:
    """Expect exactly these columns, in this order."""
    return _expectation(
        "expect_table_columns_to_match_ordered_list", {"column_list": list(columns)}, why=why, remedy=remedy
    )


def row_count(low: int, high: int | None, *, why: str, remedy: str) -> Expectation:
    """Expect a number of rows within bounds; ``high`` None means no upper bound."""
    return _expectation(
        "expect_table_row_count_to_be_between", {"min_value": low, "max_value": high}, why=why, remedy=remedy
    )


def has_type(column: str, dtype: str, *, why: str, remedy: str) -> Expectation:
    """Expect the column's exact pandas type, by its name."""
    return _expectation("expect_column_type_to_be", {"column": column, "type_": dtype}, why=why, remedy=remedy)


def not_null(column: str, *, why: str, remedy: str) -> Expectation:
    """Expect a value in every row. Use it together with each bound, because a missing value meets every bound."""
    return _expectation("expect_column_values_to_not_be_null", {"column": column}, why=why, remedy=remedy)


def unique(column: str, *, why: str, remedy: str) -> Expectation:
    """Expect that no value occurs twice."""
    return _expectation("expect_column_values_to_be_unique", {"column": column}, why=why, remedy=remedy)


def between(column: str, low: float | None, high: float | None, *, why: str, remedy: str) -> Expectation:
    """Expect every value within bounds, both included; None means no bound."""
    kwargs = {"column": column, "min_value": low, "max_value": high}
    return _expectation("expect_column_values_to_be_between", kwargs, why=why, remedy=remedy)


def in_set(
    column: str,
    values: Sequence[Any],
    *,
    min_share: float = 1.0,
    why: str,
    remedy: str,
    severity: Literal["critical", "warning"] = "critical",
) -> Expectation:
    """Expect one of ``values`` in at least the share ``min_share`` of the rows."""
    mostly = round(min_share, 12)  # 1 - .58 is a little above .42: a share of .42 would be refused
    kwargs = {"column": column, "value_set": list(values), "mostly": mostly}
    return _expectation("expect_column_values_to_be_in_set", kwargs, why=why, remedy=remedy, severity=severity)


def fact(
    column: str, low: float | None, high: float | None, *, why: str, remedy: str, if_missing: str | None = None
) -> Suite:
    """Expect a column of a table with one row to have a value, and the value to be within bounds (None: no bound).

    if_missing: remedy if there is no value; None: the same remedy as for a value out of bounds.
    """
    kwargs = {"column": column, "min_value": low, "max_value": high}
    return [
        not_null(column, why="what was not measured was not met", remedy=if_missing or remedy),
        _expectation("expect_column_max_to_be_between", kwargs, why=why, remedy=remedy),
    ]


def rule(expectation: Expectation) -> str:
    """Return the expectation in plain words, e.g. ``rating is between 0 and 10``."""
    kwargs = expectation["kwargs"]
    if describe := _RULES.get(expectation["type"]):
        return describe(kwargs)
    return f"{expectation['type']} with {kwargs}"


def in_words(value: Any) -> str:
    """Return a value as text for a sentence, e.g. ``1,000`` or ``0.95``; None gives ``nothing``."""
    if value is None:
        return "nothing"
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _bounds(kwargs: Mapping[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low == high:
        return f"exactly {in_words(low)}"
    if high is None:
        return f"at least {in_words(low)}"
    return f"at most {in_words(high)}" if low is None else f"between {in_words(low)} and {in_words(high)}"


def _values(kwargs: Mapping[str, Any]) -> str:
    share = "" if kwargs["mostly"] == 1 else f" in at least {in_words(kwargs['mostly'])} of the rows"
    return f"{kwargs['column']} is {' or '.join(map(str, kwargs['value_set']))}{share}"


_RULES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "expect_table_columns_to_match_ordered_list": lambda of: f"the columns are {', '.join(of['column_list'])}",
    "expect_table_row_count_to_be_between": lambda of: f"the number of rows is {_bounds(of)}",
    "expect_column_type_to_be": lambda of: f"{of['column']} has type {of['type_']}",
    "expect_column_values_to_not_be_null": lambda of: f"{of['column']} is never missing",
    "expect_column_values_to_be_unique": lambda of: f"{of['column']} never repeats",
    "expect_column_values_to_be_between": lambda of: f"{of['column']} is {_bounds(of)}",
    "expect_column_max_to_be_between": lambda of: f"{of['column']} is {_bounds(of)}",
    "expect_column_values_to_be_in_set": _values,
}


def _expectation(
    type_: str,
    kwargs: dict[str, Any],
    *,
    why: str,
    remedy: str,
    severity: Literal["critical", "warning"] = "critical",
) -> Expectation:
    return {"type": type_, "kwargs": kwargs, "severity": severity, "meta": {"why": why, "remedy": remedy}}
