import gzip
import time
from unittest.mock import Mock

import pyarrow as pa
import pytest

from sdrm_core.config import ColumnsConfig
from sdrm_core.data import values

from .logs import HEADER, MISSING, read_bytes, refused, with_time

GOOD = HEADER + b"1,a,3\n2,b,4.5\n"
IMPLICIT = {"feedback": "implicit", "columns": ColumnsConfig(rating=None)}
EXPECTED = {"user_id": [1, 2], "item_id": ["a", "b"], "rating": [3.0, 4.5]}


@pytest.mark.parametrize(
    ("name", "data", "settings"),
    [
        ("log.csv", GOOD, {}),
        ("log.CSV", GOOD, {}),
        ("log.csv.gz", gzip.compress(GOOD, mtime=0), {}),
        ("two-members.csv.gz", gzip.compress(GOOD[:30], mtime=0) + gzip.compress(GOOD[30:], mtime=0), {}),
        ("gzip-by-its-bytes.csv", gzip.compress(GOOD, mtime=0), {}),
        ("not-really.csv.gz", GOOD, {}),
        ("log.tsv", GOOD.replace(b",", b"\t"), {}),
        ("log.dat", GOOD.replace(b",", b"\t"), {"format": "tsv"}),
        ("log.csv", GOOD.replace(b",", b";"), {"delimiter": ";"}),
        ("windows.csv", b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n"), {}),
        ("no-last-line-end.csv", GOOD.rstrip(), {}),
        ("blank-lines.csv", b"\n\n" + GOOD.replace(b"\n", b"\n\n"), {}),
        ("more-columns.csv", b"x,user_id,y,item_id,rating\n?,1,\xff,a,3\n,2,,b,4.5\n", {}),
        ("two-line-header.csv", b'"a\nb",user_id,item_id,rating\n?,1,a,3\n,2,b,4.5\n', {}),
        ("padded-ratings.csv", HEADER + b"1,a, 3\n2,b,+45e-1 \n", {}),
        ("no-header.csv", b"1,a,3\n2,b,4.5\n", {"header": ("user_id", "item_id", "rating")}),
        (
            "double-colons.csv",
            b"1::a::3\n2::b::4.5\n",
            {"delimiter": ":", "header": ("user_id", "", "item_id", "", "rating")},
        ),
        (
            "renamed.csv",
            b"who,what,how\n1,a,3\n2,b,4.5\n",
            {"columns": {"user": "who", "item": "what", "rating": "how"}},
        ),
    ],
)
def test_reads_every_kind_of_text_table(tmp_path, name, data, settings):
    assert read_bytes(tmp_path, name, data, **settings).to_pydict() == EXPECTED


def test_implicit_events_need_no_rating(tmp_path):
    table = read_bytes(tmp_path, "log.csv", b"user_id,item_id\n1,a\n2,b\n", feedback="implicit")
    assert table.to_pydict() == {"user_id": [1, 2], "item_id": ["a", "b"]}


def test_implicit_events_need_no_time(tmp_path):
    columns = ColumnsConfig(rating=None, timestamp="time")
    data = b"user_id,item_id,time\n1,a,2020-01-01\n2,b,\n"
    assert read_bytes(tmp_path, "log.csv", data, feedback="implicit", columns=columns).num_rows == 2


def test_ids_of_any_text_arrive_unchanged(tmp_path):
    data = HEADER + 'a,"x,y",1\nb,"say ""hi""",1\nc,"two\r\nlines",1\nd,🙂 é,1\ne, padded ,1\nf,6" nail,1\n'.encode()
    expected = ["x,y", 'say "hi"', "two\r\nlines", "🙂 é", " padded ", '6" nail']
    assert read_bytes(tmp_path, "log.csv", data)["item_id"].to_pylist() == expected


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["0", "-5", "9223372036854775807"], [0, -5, 9223372036854775807]),
        (["1", "9223372036854775808"], ["1", "9223372036854775808"]),
        (["1", "-9223372036854775809"], ["1", "-9223372036854775809"]),
        (["1", "01"], ["1", "01"]),
        (["1", "+2"], ["1", "+2"]),
        (["1", "-0"], ["1", "-0"]),
        (["1", " 2"], ["1", " 2"]),
        (["1", "2.0"], ["1", "2.0"]),
        (["1", "0x10"], ["1", "0x10"]),
        (["1", "Null Island"], ["1", "Null Island"]),
        (["1", "٣"], ["1", "٣"]),
    ],
)
def test_ids_are_integers_only_if_no_character_is_lost(tmp_path, ids, expected):
    rows = "".join(f"{identifier},{number},1\n" for number, identifier in enumerate(ids))
    assert read_bytes(tmp_path, "log.csv", HEADER + rows.encode())["user_id"].to_pylist() == expected


def test_the_type_of_ids_can_be_forced(tmp_path):
    data = HEADER + b"1,7,3\n2,8,3\n"
    table = read_bytes(tmp_path, "log.csv", data, user_id_type="text", item_id_type="integer")
    assert table.schema.field("user_id").type == pa.dictionary(pa.int32(), pa.string())
    assert table.schema.field("item_id").type == pa.int64()


def test_ids_forced_to_integers_are_refused_rather_than_changed(tmp_path):
    [problem] = refused(tmp_path, "log.csv", HEADER + b"1,7,3\n007,8,3\nx,8,3\n", user_id_type="integer")
    assert problem.startswith("log.csv, column 'user_id': not an integer of 64 bits")
    assert "in 2 of 3 rows (for example line 3)" in problem, "a user's id is nobody's example"
    assert "source.user_id_type to text" in problem


@pytest.mark.parametrize("missing", MISSING)
def test_a_missing_id_written_as_text_is_no_user_and_no_item(tmp_path, missing):
    rows = f"1,a,3\n2,{missing},3\n{missing},b,4\n3,b,4\n{missing},c,5\n"
    users, items = refused(tmp_path, "log.csv", HEADER + rows.encode())
    assert users.startswith("log.csv, column 'user_id': no user id in 2 of 5 rows (for example line 4). Give every row")
    assert items.startswith(f"log.csv, column 'item_id': no item id in 1 of 5 rows (for example line 3: {missing!r})")


def test_every_problem_is_told_at_once(tmp_path):
    rows = b"1,2,3\n,2,4\n3,,five\n3,1,NaN\n3,1,-inf\n3,1,\n3,1\n3,1,2,3\n\n5,1,1e999\n\xff,1,3\n"
    problems = refused(tmp_path, "log.csv", HEADER + rows)
    told = [problem.partition(").")[0] for problem in problems]
    assert told == [
        "log.csv: 2 of 10 rows have not the 3 fields they should have (for example line 8 has 2 fields",
        "log.csv, column 'user_id': no user id in 1 of 8 rows (for example line 3",
        "log.csv, column 'user_id': text that is not valid UTF-8 in 1 of 8 rows (for example line 12",
        "log.csv, column 'item_id': no item id in 1 of 8 rows (for example line 4",
        "log.csv, column 'rating': no rating in 1 of 8 rows (for example line 7",
        "log.csv, column 'rating': a rating of NaN in 1 of 8 rows (for example line 5: 'NaN'",
        "log.csv, column 'rating': an infinite rating in 2 of 8 rows (for example line 6: '-inf'",
        "log.csv, column 'rating': a rating that is not a number in 1 of 8 rows (for example line 4: 'five'",
    ]
    assert all(len(problem.partition("). ")[2]) > 10 for problem in problems), "each names its remedy"


def test_a_line_of_one_field_is_told_so(tmp_path):
    [problem] = refused(tmp_path, "log.csv", HEADER + b"1,2,3\nend of file\n")
    assert "(for example line 3 has 1 field)" in problem


def test_the_line_of_a_problem_counts_line_ends_within_quotes(tmp_path):
    [problem] = refused(tmp_path, "log.csv", HEADER + b'1,"a\n\nb",3\n\n2,c,bad\n')
    assert "line 6: 'bad'" in problem


@pytest.mark.parametrize(
    ("rows", "line", "what"),
    [
        (b'1,"a,3\n2,b,4\n3,c,5\n', 2, "never closed"),
        (b'1,a,3\n2,b,"4', 3, "never closed"),
        (b'1,a,3\n2,"b"c,4\n', 3, "follows a closing quote"),
        (b'1,"a\n2,b\n3,"c,4\n2,d,4\n', 2, "follows a closing quote"),
    ],
)
def test_broken_quoting_never_swallows_a_row(tmp_path, rows, line, what):
    [problem] = refused(tmp_path, "log.csv", HEADER + rows)
    assert what in problem
    assert f"line {line})" in problem


def test_a_quote_left_open_for_more_than_a_block_is_found(tmp_path):
    problems = refused(tmp_path, "log.csv", HEADER + b'1,"a,3\n' + b"1,2,3\n" * 2_000_000)
    assert len(problems) == 1
    assert "line 2)" in problems[0]


def test_a_quote_left_open_in_the_header_is_found(tmp_path):
    [problem] = refused(tmp_path, "log.csv", b'"user_id,item_id,rating\n1,2,3\n')
    assert "line 1)" in problem


@pytest.mark.parametrize("rows", [b"1,a\rb,3\n", b"1,a,3\n\r0,b,4\n", b"1,a,3\r2,b,4\r"])
def test_a_lone_carriage_return_is_neither_a_line_end_nor_dropped(tmp_path, rows):
    [problem] = [p for p in refused(tmp_path, "log.csv", HEADER + rows) if "fields they should" not in p]
    assert "a carriage return stands outside quotes" in problem


def test_a_carriage_return_in_quotes_is_part_of_the_id(tmp_path):
    table = read_bytes(tmp_path, "log.csv", HEADER + b'1,"a\rb",3\r\n2,"\rb",4\r\n')
    assert table["item_id"].to_pylist() == ["a\rb", "\rb"]


def test_a_long_field_may_be_quoted(tmp_path):
    data = b"user_id,item_id,rating,text\n" + b'1,a,3,"%s"\n' % (b"x" * (5 << 20)) + b'2,b,4.5,""\n'
    assert read_bytes(tmp_path, "log.csv", data).to_pydict() == EXPECTED


def test_a_row_longer_than_a_block_is_refused(tmp_path):
    text = ",".join(["x" * 100_000] * 180)
    names = ",".join(f"text{number}" for number in range(180))
    data = f"user_id,item_id,rating,{names}\n1,a,3,{text}\n2,b,3,{text}\n".encode()
    [problem] = refused(tmp_path, "log.csv", data)
    assert "of 2 rows can be read" in problem


def test_missing_columns_are_named_with_the_nearest(tmp_path):
    problems = refused(tmp_path, "log.csv", b"user,item,rating\n1,2,3\n")
    assert len(problems) == 2
    assert "there is no column 'user_id'; the columns are 'user', 'item', 'rating'" in problems[0]
    assert "Set source.columns.user to the right one, perhaps 'user'" in problems[0]


def test_a_wrong_delimiter_is_guessed_at(tmp_path):
    problems = refused(tmp_path, "log.csv", HEADER.replace(b",", b"|") + b"1|2|3\n")
    assert len(problems) == 3
    assert all("source.delimiter" in problem for problem in problems)


def test_names_that_the_configuration_gave_are_no_missing_header(tmp_path):
    [problem] = refused(tmp_path, "log.csv", b"1,2,3\n", header=("user_id", "item_id", "stars"))
    assert "there is no column 'rating'" in problem
    assert "header line" not in problem


def test_a_column_twice_is_refused(tmp_path):
    [problem] = refused(tmp_path, "log.csv", b"user_id,item_id,rating,rating\n1,2,3,4\n")
    assert "column 'rating' occurs 2 times" in problem


def test_a_header_line_taken_for_data_is_explained(tmp_path):
    [problem] = refused(tmp_path, "log.csv", GOOD, header=("user_id", "item_id", "rating"))
    assert "line 1: 'rating'" in problem
    assert "leave out source.header" in problem


@pytest.mark.parametrize("data", [HEADER, HEADER.rstrip(), HEADER + b"\n\n"])
def test_a_header_alone_is_no_data(tmp_path, data):
    assert refused(tmp_path, "log.csv", data) == ["log.csv: there are no rows of data. Give a file with interactions."]


@pytest.mark.parametrize(("user", "item", "alone"), [("1", None, "user"), (None, "7", "item")])
def test_one_user_or_item_alone_is_refused(tmp_path, user, item, alone):
    rows = "".join(f"{user or number},{item or number},5\n" for number in range(30))
    [problem] = refused(tmp_path, "log.csv", HEADER + rows.encode())
    assert f"all 30 rows belong to one {alone}, at least 2 are needed" in problem


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        (["881250949", "-3"], [881250949, -3]),
        (["1.5", "2"], [1_500_000, 2_000_000]),
        (["1387670400.0", "+5"], [1387670400, 5]),
        (["2020-01-01", "2020-01-01 00:00:01"], [1577836800_000000, 1577836801_000000]),
        (["2020-01-01T00:00:00Z", "2020-01-01T00:00:00.5+01:00"], [1577836800_000000, 1577833200_500000]),
        (["2020-01-01", "2020-01-01T00:00:00+00:00"], [1577836800_000000, 1577836800_000000]),
        (["2020-01-01T00:00:00.123456789", "2020-W01-3"], [1577836800_123456, 1577836800_000000]),
        (["2020-01-01T01:00:00.123456789+01:00", "2020-W01-3T00Z"], [1577836800_123456, 1577836800_000000]),
    ],
)
def test_time_stamps_become_integers_in_order(tmp_path, stamps, expected):
    rows = "".join(f"{number},{number},1,{stamp}\n" for number, stamp in enumerate(stamps))
    table = read_bytes(tmp_path, "log.csv", b"user_id,item_id,rating,time\n" + rows.encode(), columns=with_time())
    assert table.schema.field("timestamp").type == pa.int64()
    assert table["timestamp"].to_pylist() == expected


@pytest.mark.parametrize(
    ("stamps", "n_bad", "example"),
    [
        (["10", "11", "yesterday"], 1, "line 4: 'yesterday'"),
        (["10", "", "12"], 1, "line 3"),
        (["10", "2020-01-01", "12"], 1, "line 3: '2020-01-01'"),
        (["2020-01-01", "2020-13-01", "7"], 2, "line 3: '2020-13-01'"),
        (["10", "nan", "12"], 1, "line 3: 'nan'"),
        (["10", "1e300", "12"], 1, "line 3: '1e300'"),
        (
            ["2020-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "2020-13-01T00:00:00Z"],
            2,
            "line 3: '0001-01-01T00:00:00+01:00'",
        ),
    ],
)
def test_unreadable_time_stamps_are_refused(tmp_path, stamps, n_bad, example):
    rows = "".join(f"{number},{number},1,{stamp}\n" for number, stamp in enumerate(stamps))
    [problem] = refused(tmp_path, "log.csv", b"user_id,item_id,rating,time\n" + rows.encode(), columns=with_time())
    assert f"column 'time': no readable time stamp in {n_bad} of 3 rows (for example {example})" in problem


def test_a_time_stamp_with_a_sign_makes_no_other_inexact(tmp_path):
    rows = b"1,1,1,1577836800000000001\n2,2,1,+5\n3,3,1,-7\n"
    table = read_bytes(tmp_path, "log.csv", b"user_id,item_id,rating,time\n" + rows, columns=with_time())
    assert table["timestamp"].to_pylist() == [1577836800000000001, 5, -7]


def test_one_unreadable_time_makes_few_others_slow(tmp_path, monkeypatch):
    slowly = Mock(side_effect=values._time_or_nat)
    monkeypatch.setattr(values, "_time_or_nat", slowly)
    monkeypatch.setattr(values, "_TIMES_AT_ONCE", 2)
    stamps = ["2020-01-01 00:00:00+00", "2020-01-01T00:00:00.5+01", "2020-01-01", "soon", "2020-01-02", "2020-01-01"]
    rows = "".join(f"{number},{number},1,{stamp}\n" for number, stamp in enumerate(stamps))
    [problem] = refused(tmp_path, "log.csv", b"user_id,item_id,rating,time\n" + rows.encode(), columns=with_time())
    assert "no readable time stamp in 1 of 6 rows (for example line 5: 'soon')" in problem
    assert [call.args[0] for call in slowly.call_args_list] == ["2020-01-01", "soon"]
    table = read_bytes(
        tmp_path,
        "log.csv",
        b"user_id,item_id,rating,time\n" + rows.replace("soon", "2020-01-03").encode(),
        columns=with_time(),
    )
    days = [0, -3_599_500_000, 0, 2 * 86_400_000_000, 86_400_000_000, 0]
    assert table["timestamp"].to_pylist() == [1577836800_000000 + day for day in days]


def test_column_names_must_differ():
    with pytest.raises(ValueError, match="different columns"):
        ColumnsConfig(user="id", item="id")


@pytest.mark.parametrize("first", ["alice@example.com,7,3", "user_alice,item_7,3", "alice,item_9,rating_5"])
def test_the_first_row_of_a_file_without_a_header_is_not_told(tmp_path, first):
    problems = refused(tmp_path, "log.csv", f"{first}\nbob,8,3\n".encode())
    assert "there is no column 'user_id'; none of the 3 fields of its first line is a column asked for" in problems[0]
    assert "source.header" in problems[0]
    assert not any("alice" in problem for problem in problems)


@pytest.mark.parametrize("settings", [{}, {"header": ["user_id", "item_id"]}])
def test_column_names_among_the_rows_are_no_user_and_no_item(tmp_path, settings):
    month = b"user_id,item_id\n1,7\n2,8\n"
    source = {"feedback": "implicit", "columns": ColumnsConfig(rating=None), **settings}
    [problem] = refused(tmp_path, "log.csv", month + month, **source)
    n_rows, line = (2, 1) if settings else (1, 4)
    assert f"log.csv: column names in {n_rows} rows (for example line {line})" in problem
    assert "keep their headers" in problem


@pytest.mark.parametrize("day", [b"1,7\n2,8\n", b"user_id,item_id\n1,7\n2,8\n"])
def test_a_byte_order_mark_within_files_put_together_splits_no_user_in_two(tmp_path, day):
    header = None if day.startswith(b"user_id") else ["user_id", "item_id"]
    [problem] = refused(tmp_path, "log.csv", 2 * (b"\xef\xbb\xbf" + day), header=header, **IMPLICIT)
    n_rows, line = (4, 3) if header else (5, 4)
    place = f"in 1 of {n_rows} rows (for example line {line})"
    assert f"log.csv, column 'user_id': a byte-order mark in the middle of the file {place}. Remove it" in problem


@pytest.mark.parametrize(
    ("header", "row", "names"),
    [(b"UserId,MovieId\n", b"", "column 'user_id', column 'item_id'"), (b"who,what\n", b"x,03\n", "column 'item_id'")],
)
@pytest.mark.parametrize("id_type", ["auto", "text"])
def test_a_header_of_other_names_is_no_user_and_no_item(tmp_path, header, row, names, id_type):
    source = {"header": ["user_id", "item_id"], "user_id_type": id_type, "item_id_type": id_type, **IMPLICIT}
    [problem] = refused(tmp_path, "log.csv", header + b"1,7\n2,8\n" + row, **source)
    n_rows = 4 if row else 3
    assert (
        f"log.csv, {names}: no integer in 1 of {n_rows} rows, as in a line of column names (for example line 1)"
        in problem
    )
    assert "leave out source.header" in problem


@pytest.mark.parametrize("rows", [b"007,a\n2,b\n", b"x,1\n2,b\ny,3\n", b"x,a\n2,b\nx,c\n", b"1,a\nx,b\n"])
def test_a_first_row_that_need_not_be_a_header_is_an_interaction(tmp_path, rows):
    table = read_bytes(tmp_path, "log.csv", rows, header=["user_id", "item_id"], **IMPLICIT)
    assert table.num_rows == rows.count(b"\n")


def test_a_name_of_a_column_is_an_id_like_any_other(tmp_path):
    content = b"user_id,item_id\nuser_id,7\nbob,item_id\n"
    table = read_bytes(tmp_path, "log.csv", content, feedback="implicit", columns=ColumnsConfig(rating=None))
    assert table["user_id"].to_pylist() == ["user_id", "bob"]


def test_the_columns_of_a_matrix_of_users_are_not_told(tmp_path):
    names = ["item_id", *(f"alice-{number}@example.com" for number in range(150))]
    row = ["i1", *["1"] * 150]
    content = "\n".join(",".join(fields) for fields in (names, row)) + "\n"
    problems = refused(tmp_path, "log.csv", content.encode())
    assert "there are 151 columns, as of a matrix of users by items" in problems[0]
    assert not any("alice" in problem for problem in problems)


@pytest.mark.parametrize(
    "row", ['alice@example.com,i1,"5\nbob@example.com,i2,4\n', 'u1,i1,"five\nbob@example.com,i2,4\n"\nu2,i2,3\n']
)
def test_what_stands_in_the_lines_after_an_open_quote_is_not_told(tmp_path, row):
    problems = refused(tmp_path, "log.csv", b"user_id,item_id,rating\n" + row.encode())
    assert not any("bob" in problem for problem in problems)


def test_values_of_a_column_in_which_no_row_is_right_are_not_told(tmp_path):
    settings = {"header": ("rating", "item_id", "user_id")}
    problems = refused(tmp_path, "log.csv", b"alice@example.com,i1,5\nbob@example.com,i2,4\n", **settings)
    assert any("a rating that is not a number in 2 of 2 rows (for example line 1)" in problem for problem in problems)
    assert not any("@" in problem for problem in problems)


def test_a_column_that_may_hold_people_is_not_quoted(tmp_path):
    rows = b"".join(b"alice%d,%d,4\n" % (number, number) for number in range(30))
    swapped = ColumnsConfig(user="item_id", item="user_id")
    people_as_ratings = ColumnsConfig(user="item_id", item="rating", rating="user_id")
    one_person = HEADER + b"".join(b"alice,%d,4\n" % number for number in range(30))
    problems = [
        *refused(tmp_path, "log.csv", HEADER + rows + b"17,31,4\n", columns=people_as_ratings),
        *refused(tmp_path, "log.csv", one_person, columns=swapped),
    ]
    assert "not a number in 30 of 31 rows" in problems[0]
    assert "all 30 rows belong to one item" in problems[-1]
    assert not any("alice" in problem for problem in problems)


@pytest.mark.parametrize(("rows", "settings"), [
    (b"u1,i1,4\nu2,u1,alice@example.com\n", {}),
    (b"".join(b"%d,%d,4\n" % (n, n) for n in range(40)) + b"".join(b"%d,alice,4\n" % n for n in range(40)),
     {"item_id_type": "integer"}),
    (b"1,a,4\n2,b,carol17\n", {}),
])  # fmt: skip
def test_a_value_that_may_be_a_user_is_not_told_though_few_rows_are_bad(tmp_path, rows, settings):
    problems = refused(tmp_path, "log.csv", HEADER + rows, **settings)
    assert any("(for example line" in problem for problem in problems)
    assert not any(name in problem for problem in problems for name in ("alice", "carol"))


def test_a_long_value_is_looked_at_in_no_time(tmp_path):
    started = time.process_time()
    problems = refused(tmp_path, "log.csv", HEADER + b"u1,i1,4\nu2,i2,a%s x\nu3,i3,3\n" % (b"1" * 200_000))
    assert "(for example line 3)" in problems[0]
    assert time.process_time() - started < 5


def test_a_value_that_is_no_user_is_told(tmp_path):
    problems = refused(tmp_path, "log.csv", HEADER + b"u1,i1,4\nu2,i2,five\nu3,i3,3\n")
    assert any("(for example line 3: 'five')" in problem for problem in problems)
