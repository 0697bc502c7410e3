import gzip
import json

import pyarrow as pa
import pytest

from sdrm_core.config import ColumnsConfig

from .logs import read_bytes, refused, with_time


def lines(*records) -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


def row(user, item, rating=4):
    return {"user_id": user, "item_id": item, "rating": rating}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("log.jsonl", lines(row(1, "a", 3), row(2, "b", 4.5))),
        ("log.ndjson", lines(row(1, "a", 3), row(2, "b", 4.5))),
        ("log.json.gz", gzip.compress(lines(row(1, "a", 3), row(2, "b", 4.5)), mtime=0)),
        ("bom.jsonl", b"\xef\xbb\xbf" + lines(row(1, "a", 3), row(2, "b", 4.5))),
        ("blank.jsonl", lines(row(1, "a", 3)) + b"\n \r\n" + lines(row(2, "b", 4.5)).rstrip()),
        ("more.jsonl", lines(row(1, "a", 3) | {"x": [1, {"y": None}]}, row(2, "b", 4.5) | {"x": "?"})),
        ("rating-as-text.jsonl", lines(row(1, "a", 3), row(2, "b", "4.5"))),
        ("all-ratings-as-text.jsonl", lines(row(1, "a", "3"), row(2, "b", "4.5"))),
    ],
)
def test_reads_json_lines(tmp_path, name, data):
    expected = {"user_id": [1, 2], "item_id": ["a", "b"], "rating": [3.0, 4.5]}
    assert read_bytes(tmp_path, name, data).to_pydict() == expected


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([1, -(2**63), 2**63 - 1], [1, -(2**63), 2**63 - 1]),
        ([1, 2**63], ["1", str(2**63)]),
        ([10**40, 7], [str(10**40), "7"]),
        (["1", "2"], ["1", "2"]),
        (["007", "🙂\u0000\n\"'"], ["007", "🙂\u0000\n\"'"]),
        ([2**53 + 1, 2], [2**53 + 1, 2]),
    ],
)
def test_ids_keep_type_and_value(tmp_path, ids, expected):
    table = read_bytes(tmp_path, "log.jsonl", lines(*(row(key, number) for number, key in enumerate(ids))))
    assert table["user_id"].to_pylist() == expected


def test_mixed_ids_are_refused_or_read_as_text_on_request(tmp_path):
    data = lines(row(1, "a"), row("x", "b"), row(3, "c"))
    [problem] = refused(tmp_path, "log.jsonl", data)
    assert "column 'user_id': mixed id types: integers in 2 rows, text in 1" in problem
    assert "(for example line 1 and line 2)" in problem
    assert read_bytes(tmp_path, "log.jsonl", data, user_id_type="text")["user_id"].to_pylist() == ["1", "x", "3"]


@pytest.mark.parametrize("value", [2.0, 1e300, True, [1], {"a": 1}])
@pytest.mark.parametrize("first", [True, False])
def test_ids_that_are_neither_integer_nor_text_are_refused(tmp_path, value, first):
    records = [row(value, "a"), row(5, "b")] if first else [row(5, "b"), row(value, "a")]
    problems = refused(tmp_path, "log.jsonl", lines(*records))
    assert "neither an integer nor text in 1 of 2 rows" in problems[0]
    assert f"(for example line {1 if first else 2})" in problems[0]


def test_half_a_surrogate_pair_is_refused(tmp_path):
    [problem] = refused(tmp_path, "log.jsonl", b'{"user_id": "\\ud800", "item_id": "a", "rating": 3}\n')
    assert "neither an integer nor text" in problem


def test_every_problem_is_told_at_once(tmp_path):
    data = (
        lines(row(1, "a"))
        + b'{"user_id": 2,\n\n[1]\n{"user_id": "\xff"}\n{"user_id": 1, "user_id": 2}\n'
        + lines(row(3, "c", "five"), row(4, "d", None), row(5, "e", True), {"user_id": 3}, row(None, "", float("nan")))
    )
    told = [problem.partition(").")[0] for problem in refused(tmp_path, "log.jsonl", data)]
    assert told == [
        "log.jsonl: not a JSON object in UTF-8 in 4 of 10 lines "
        "(for example line 2: Expecting property name enclosed in double quotes",
        "log.jsonl, column 'user_id': no user id in 1 of 6 rows (for example line 11",
        "log.jsonl, column 'item_id': no item id in 1 of 6 rows (for example line 10",
        "log.jsonl, column 'item_id': no item id in 1 of 6 rows (for example line 11",
        "log.jsonl, column 'rating': no rating in 2 of 6 rows (for example line 8",
        "log.jsonl, column 'rating': a rating of NaN in 1 of 6 rows (for example line 11: 'NaN'",
        "log.jsonl, column 'rating': a rating that is not a number in 2 of 6 rows (for example line 7: 'five'",
    ]


@pytest.mark.parametrize("second", [lines(row(2, "b")), lines(row(2, "b", "4"))])  # the other one is read in Python
def test_what_is_nested_in_other_keys_does_not_matter(tmp_path, second):
    data = b'{"user_id": 1, "item_id": "a", "rating": 3, "x": {"y": 1, "y": 2}}\n' + second
    assert read_bytes(tmp_path, "log.jsonl", data)["rating"].to_pylist() == [3, 4]


def test_non_finite_numbers_are_found_on_the_quick_path(tmp_path):
    problems = refused(tmp_path, "log.jsonl", lines(row(1, "a"), row(2, "b", float("nan")), row(3, "c", float("inf"))))
    assert ["line 2: nan" in problems[0], "line 3: inf" in problems[1]] == [True, True]


def test_bad_utf8_is_found_on_the_quick_path(tmp_path):
    data = lines(row("a", 1), row("b", 2)) + b'{"user_id": "x\xff", "item_id": 3, "rating": 4}\n'
    [problem] = refused(tmp_path, "log.jsonl", data)
    assert "column 'user_id': text that is not valid UTF-8 in 1 of 3 rows (for example line 3)" in problem


def test_a_missing_key_is_a_missing_column(tmp_path):
    [problem] = refused(tmp_path, "log.jsonl", lines({"user": 1, "item_id": 2, "rating": 3}))
    assert "there is no column 'user_id'; the columns are 'user', 'item_id', 'rating'" in problem
    assert "perhaps 'user'" in problem


def test_time_stamps_of_any_kind_are_read(tmp_path):
    records = [row(1, "a") | {"time": 10}, row(2, "b") | {"time": 2.5}]
    table = read_bytes(tmp_path, "log.jsonl", lines(*records), columns=with_time())
    assert table["timestamp"].to_pylist() == [10_000_000, 2_500_000]
    assert table.schema.field("timestamp").type == pa.int64()


def test_a_line_longer_than_a_block_is_read(tmp_path):
    data = lines(row(1, "a") | {"text": "x" * (9 << 20)}, row(2, "b"))
    assert read_bytes(tmp_path, "log.jsonl", data)["user_id"].to_pylist() == [1, 2]


def test_two_objects_in_a_line_are_refused_in_any_line(tmp_path):
    first, more = lines(row(1, "a")), lines(row(2, "b") | {"rating": 2})
    for data in (first + more.strip() + more, first.strip() + more):
        problems = refused(tmp_path, "log.jsonl", data)
        assert "not a JSON object in UTF-8 in 1 of" in problems[0]
        assert "Extra data" in problems[0]


def test_keys_that_may_be_people_are_not_told(tmp_path):
    problems = refused(tmp_path, "by-user.jsonl", lines({"alice@example.com": ["a"], "bob@example.com": ["b"]}))
    assert "there is no column 'user_id'" in problems[0]
    assert not any("example.com" in problem for problem in problems)


@pytest.mark.parametrize("people", [["alice", 7, "bob", "eve"], [{"id": "alice", "mail": "x" * 300}] * 4])
def test_ids_that_may_be_people_are_not_told(tmp_path, people):
    swapped = ColumnsConfig(user="item_id", item="user_id", rating=None)
    data = lines(*(row(person, number) for number, person in enumerate(people)))
    [problem] = refused(tmp_path, "log.jsonl", data, columns=swapped, feedback="implicit")
    assert "column 'user_id'" in problem
    assert "line 1" in problem
    assert "alice" not in problem


def test_a_long_value_is_shortened(tmp_path):
    data = lines(row(0, ["x" * 300]), *(row(number, number) for number in range(1, 9)))
    [problem] = refused(tmp_path, "log.jsonl", data)
    assert "line 1: '[\"xxx" in problem
    assert "…" in problem
    assert "x" * 100 not in problem


def test_a_missing_key_is_no_matter_of_a_header_line(tmp_path):
    [problem] = refused(tmp_path, "log.jsonl", lines({"user_id": 1, "item_id": 2}))
    assert "source.feedback=implicit" in problem
    assert "header line" not in problem
