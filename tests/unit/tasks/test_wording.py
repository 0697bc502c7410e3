"""Numbers and orders as the reports show them."""

import pytest

from tasks.wording import (
    counted,
    duration,
    figure,
    interval,
    ordered,
    p_value,
    percent,
    ratio,
    rounded,
    sentence,
    setting,
    signed,
    size,
)


@pytest.mark.parametrize(
    ("write", "value", "expected"),
    [
        (setting, 20_250_101, "20250101"),
        (figure, None, "–"),
        (figure, 0.12345, "0.123"),
        (figure, 12.345, "12.3"),
        (figure, 12_345.6, "12,346"),
        (figure, 1.06, "1.06"),
        (figure, 123.4, "123"),
        (figure, 0.00034, "0.0003"),
        (figure, -2.78e-17, "0.000"),
        (figure, -0.0, "0.000"),
        (signed, 0.0123, "+0.012"),
        (signed, -0.00004, "-0.00004"),
        (signed, -2.78e-17, "0.000"),
        (signed, None, "–"),
        (ratio, None, "–"),
        (ratio, 0.95, "0.950"),
        (ratio, 1.0, "1.000"),
        (ratio, 1.0007, "1.001"),
        (ratio, 1.00034, "1.0003"),
        (ratio, 0.99996, "0.99996"),
        (figure, -0.5, "-0.500"),
        (duration, 0.04, "0.0 s"),
        (duration, 9.96, "10 s"),
        (duration, 59.6, "1 min 00 s"),
        (duration, 185, "3 min 05 s"),
        (duration, 7800, "2 h 10 min"),
        (size, 12, "12 B"),
        (size, 1234, "1.2 kB"),
        (size, 5_600_000, "5.6 MB"),
        (size, 8e12, "8000.0 GB"),
        (setting, None, "null"),
        (setting, True, "true"),
        (setting, ("a", 1), "[a, 1]"),
        (setting, 50_000, "50000"),
        (interval, {"value": 0.4, "low": 0.341, "high": 0.389}, "0.341 to 0.389"),
        (interval, {"value": 0.4, "low": None, "high": None}, ""),
        (percent, 0.04, "4.00 %"),
        (percent, 0.70123, "70.1 %"),
        (percent, 1, "100 %"),
        (percent, 0.00001234, "0.00123 %"),
        (percent, None, "–"),
        (sentence, "no guarantee", "No guarantee."),
        (p_value, 0.0004, "< 0.001"),
        (p_value, 0.04, "0.040"),
    ],
)
def test_numbers_are_written_for_humans(write, value, expected):
    assert write(value) == expected


def test_the_interval_of_a_ratio_has_its_decimals():
    assert interval({"value": 1.04, "low": 1.0007, "high": 1.081}, ratio) == "1.001 to 1.081"


def test_a_figure_is_rounded_to_its_significant_digits_and_no_sum_that_ends_at_nothing_keeps_its_last_bits():
    assert [rounded(number, digits=3) for number in (1234.5, -0.012345, -2.78e-17)] == [1230, -0.0123, 0]
    assert str(rounded(-2.78e-17, digits=3)) == "0.0"


def test_one_is_not_written_as_many():
    assert [counted(number, "user") for number in (0, 1, 2000)] == ["0 users", "1 user", "2,000 users"]


def test_entries_come_in_the_order_of_the_names_and_unknown_ones_last():
    assert list(ordered({"x": 1, "b": 2, "a": 3}, ["a", "b", "c"])) == ["a", "b", "x"]
