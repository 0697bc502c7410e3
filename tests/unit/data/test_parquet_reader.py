import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sdrm_core.config import ColumnsConfig, SourceConfig
from sdrm_core.data.parquet_reader import read_parquet
from sdrm_core.errors import DataError

from .logs import MISSING, read, with_time


def write(path, columns, **options):
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path, **options)
    return path


def log(users, items=("a", "b"), ratings=(3.0, 4.5), **more):
    return {"user_id": users, "item_id": items, "rating": ratings, **more}


def problems_of(path, **settings):
    with pytest.raises(DataError) as error:
        read(path, **settings)
    return [str(problem) for problem in error.value.problems]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array([1, 2], pa.int8()), [1, 2]),
        (pa.array([1, 2], pa.uint32()), [1, 2]),
        (pa.array([1, 2**63 - 1], pa.uint64()), [1, 2**63 - 1]),
        (pa.array([1, 2**63], pa.uint64()), ["1", str(2**63)]),
        (pa.array([Decimal(1), Decimal(10**30)]), ["1", str(10**30)]),
        (pa.array([Decimal(1), Decimal(-2)], pa.decimal128(20, 0)), [1, -2]),
        (pa.array(["1", "007"]), ["1", "007"]),
        (pa.array(["🙂,\n", "b"], pa.large_string()), ["🙂,\n", "b"]),
        (pa.array(["x", "y"], pa.string_view()), ["x", "y"]),
        *(
            (pa.array(["x", "y"]).cast(pa.dictionary(index, pa.string())), ["x", "y"])
            for index in (pa.int8(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())
        ),
    ],
)
def test_ids_keep_type_and_value(tmp_path, ids, expected):
    assert read(write(tmp_path / "log.parquet", log(ids)))["user_id"].to_pylist() == expected


def test_integers_become_text_and_text_integers_on_request(tmp_path):
    path = write(tmp_path / "log.parquet", log([1, 2], items=["7", "8"]))
    table = read(path, user_id_type="text", item_id_type="integer")
    assert table["user_id"].to_pylist() == ["1", "2"]
    assert table["item_id"].to_pylist() == [7, 8]


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        (pa.array([1.0, 2.0]), "double"),
        (pa.array([True, False]), "bool"),
        (pa.array([b"a", b"b"]), "binary"),
        (pa.array([[1], [2]]), "list"),
        (pa.array([Decimal("1.5"), Decimal("2.5")]), "decimal128"),
        (pa.array([dt.date(2020, 1, 1)] * 2), "date32"),
    ],
)
def test_ids_of_other_types_are_refused(tmp_path, ids, kind):
    [problem] = problems_of(write(tmp_path / "log.parquet", log(ids)))
    assert "the user ids are of type" in problem
    assert kind in problem


def test_every_problem_is_told_with_its_row(tmp_path):
    path = write(tmp_path / "log.parquet", log([1, None, 3], items=["a", "", None], ratings=[None, float("nan"), 1]))
    told = [problem.partition(f"{tmp_path}/")[2].partition(").")[0] for problem in problems_of(path)]
    assert told == [
        "log.parquet, column 'user_id': no user id in 1 of 3 rows (for example row 2",
        "log.parquet, column 'item_id': no item id in 1 of 3 rows (for example row 3",
        "log.parquet, column 'item_id': no item id in 1 of 3 rows (for example row 2",
        "log.parquet, column 'rating': no rating in 1 of 3 rows (for example row 1",
        "log.parquet, column 'rating': a rating of NaN in 1 of 3 rows (for example row 2: nan",
    ]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
@pytest.mark.parametrize("missing", MISSING)
def test_a_missing_id_written_as_text_is_no_id(tmp_path, missing, kind):
    path = write(tmp_path / "log.parquet", log(["x", "y"], items=pa.array([missing, "a"]).cast(kind)))
    [problem] = problems_of(path)
    assert f"'item_id': no item id in 1 of 2 rows (for example row 1: {missing!r})" in problem


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_text_of_every_type_is_read_as_a_dictionary(tmp_path, kind):
    path = write(tmp_path / "log.parquet", log([1, 2], items=pa.array(["a", "b"], kind)))
    file, _ = read_parquet(path, SourceConfig())
    assert pa.types.is_dictionary(file.columns["item_id"].values.type)


@pytest.mark.parametrize("blank", ["\r", "\n", "\r\n\v"])
def test_an_id_of_line_ends_alone_is_no_id(tmp_path, blank):
    [problem] = problems_of(write(tmp_path / "log.parquet", log(["x", blank])))
    assert "'user_id': no user id in 1 of 2 rows (for example row 2)" in problem


def test_text_that_is_declared_but_not_utf8_is_refused(tmp_path):
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"ok", b"\xff"]).buffers())
    [problem] = problems_of(write(tmp_path / "log.parquet", log(broken)))
    assert "not valid UTF-8 in 1 of 2 rows (for example row 2)" in problem


@pytest.mark.parametrize(
    ("ratings", "expected"),
    [
        (pa.array([3, 4], pa.int16()), [3.0, 4.0]),
        (pa.array([3.5, 4], pa.float32()), [3.5, 4.0]),
        (pa.array([Decimal("3.5"), Decimal("4.0")]), [3.5, 4.0]),
        (pa.array(["3.5", "4"]), [3.5, 4.0]),
    ],
)
def test_ratings_of_any_number_type_are_read(tmp_path, ratings, expected):
    assert read(write(tmp_path / "log.parquet", log([1, 2], ratings=ratings)))["rating"].to_pylist() == expected


@pytest.mark.parametrize(
    "ratings",
    [
        pa.array(np.array([4.1, 0.7], np.float16)),
        pa.array([4.1, 0.7], pa.float32()),
        *(pa.array([Decimal("4.1"), Decimal("0.7")], kind) for kind in (pa.decimal32(5, 2), pa.decimal128(38, 18))),
        pa.array([Decimal("4.1"), Decimal("0.7")], pa.decimal256(50, 3)),
    ],
)
def test_ratings_of_few_digits_are_those_of_a_text_file(tmp_path, ratings):
    assert read(write(tmp_path / "log.parquet", log([1, 2], ratings=ratings)))["rating"].to_pylist() == [4.1, 0.7]


@pytest.mark.parametrize(
    ("ratings", "told"),
    [
        (pa.array([None, 4], pa.float32()), "no rating in 1 of 2 rows (for example row 1)"),
        (pa.array([4, float("nan")], pa.float32()), "a rating of NaN in 1 of 2 rows (for example row 2: nan)"),
        (pa.array([float("-inf"), 4], pa.float32()), "an infinite rating in 1 of 2 rows (for example row 1: -inf)"),
        (pa.array(np.array([4, np.nan], np.float16)), "a rating of NaN in 1 of 2 rows (for example row 2"),
        (pa.array([None, Decimal("4.1")]), "no rating in 1 of 2 rows (for example row 1)"),
    ],
)
def test_a_rating_of_few_digits_that_is_none_is_refused(tmp_path, ratings, told):
    [problem] = problems_of(write(tmp_path / "log.parquet", log([1, 2], ratings=ratings)))
    assert told in problem


def test_ratings_that_are_ids_by_mistake_are_left_to_the_gate(tmp_path):
    ids = [(1 << 60) + 1, (1 << 53) + 1]
    assert read(write(tmp_path / "log.parquet", log([1, 2], ratings=ids)))["rating"].to_pylist() == pytest.approx(ids)


def test_ratings_that_are_no_numbers_are_refused(tmp_path):
    [problem] = problems_of(write(tmp_path / "log.parquet", log([1, 2], ratings=[True, False])))
    assert "values of type bool where numbers are expected" in problem


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        (pa.array([5, 6], pa.int32()), [5, 6]),
        (pa.array([5.0, 6.0]), [5, 6]),
        (pa.array([1577836800000000001, 6], pa.uint64()), [1577836800000000001, 6]),
        (pa.array([Decimal(1577836800000000001), Decimal(6)], pa.decimal128(20, 0)), [1577836800000000001, 6]),
        (pa.array([Decimal(5), Decimal(6)], pa.decimal32(5, 0)), [5, 6]),
        (pa.array([5.5, 6.0]), [5_500_000, 6_000_000]),
        (pa.array([dt.datetime(2020, 1, 1)] * 2, pa.timestamp("ns")), [1577836800_000000] * 2),
        (pa.array([dt.datetime(2020, 1, 1)] * 2, pa.timestamp("s", "Europe/Berlin")), [1577836800_000000] * 2),
        (pa.array([dt.date(2020, 1, 1)] * 2), [1577836800_000000] * 2),
        (pa.array(["2020-01-01"] * 2), [1577836800_000000] * 2),
    ],
)
def test_time_stamps_of_any_type_are_read(tmp_path, stamps, expected):
    path = write(tmp_path / "log.parquet", log([1, 2], time=stamps))
    assert read(path, columns=with_time())["timestamp"].to_pylist() == expected


@pytest.mark.parametrize("stamps", [
    pa.array([0, 1 << 62], pa.timestamp("ms")), pa.array([0, -(1 << 62)], pa.timestamp("ms", "UTC")),
    pa.array([0, (1 << 31) - 1], pa.date32()),
])  # fmt: skip
def test_a_time_stamp_beyond_64_bits_is_refused(tmp_path, stamps):
    path = write(tmp_path / "log.parquet", log([1, 2], time=stamps))
    (problem,) = problems_of(path, columns=with_time())
    assert "no readable time stamp in 1 of 2 rows (for example row 2" in problem


def test_a_missing_time_stamp_is_refused(tmp_path):
    path = write(tmp_path / "log.parquet", log([1, 2], time=[None, dt.datetime(2020, 1, 1)]))
    [problem] = problems_of(path, columns=with_time())
    assert "no readable time stamp in 1 of 2 rows (for example row 1)" in problem


def test_a_directory_is_read_in_the_order_of_names(tmp_path):
    write(tmp_path / "log" / "b.parquet", log([3, 4]))
    write(tmp_path / "log" / "a.parquet", log(pa.array([1, 2], pa.int32())))
    (tmp_path / "log" / "_SUCCESS").touch()
    assert read(tmp_path / "log")["user_id"].to_pylist() == [1, 2, 3, 4]


def test_integers_beyond_64_bits_in_one_part_make_all_parts_text(tmp_path):
    write(tmp_path / "log" / "a.parquet", log([1, 2]))
    write(tmp_path / "log" / "b.parquet", log(pa.array([3, 2**63], pa.uint64())))
    assert read(tmp_path / "log")["user_id"].to_pylist() == ["1", "2", "3", str(2**63)]


def test_parts_of_different_id_types_are_refused(tmp_path):
    write(tmp_path / "log" / "a.parquet", log([1, 2]))
    write(tmp_path / "log" / "b.parquet", log(["x", "y"]))
    [problem] = problems_of(tmp_path / "log")
    assert "mixed id types: integers in 1 of 2 files, text in 1" in problem
    assert read(tmp_path / "log", user_id_type="text")["user_id"].to_pylist() == ["1", "2", "x", "y"]


def test_parts_without_an_ending_are_read_where_they_are_declared(tmp_path):
    write(tmp_path / "log" / "000000_0", log([1, 2]))
    write(tmp_path / "log" / "000001_0", log([3, 4]))
    assert read(tmp_path / "log", format="parquet")["user_id"].to_pylist() == [1, 2, 3, 4]
    [problem] = problems_of(tmp_path / "log")
    assert "set source.format to parquet" in problem


def test_parts_with_numbers_and_times_are_refused(tmp_path):
    write(tmp_path / "log" / "a.parquet", log([1, 2], time=[1, 2]))
    write(tmp_path / "log" / "b.parquet", log([1, 2], time=[dt.datetime(2020, 1, 1)] * 2))
    write(tmp_path / "log" / "c.parquet", log([1, 2], time=[1, 2]))
    write(tmp_path / "log" / "d.parquet", log([1, 2], time=[1, 2]))
    [problem] = problems_of(tmp_path / "log", columns=with_time())
    assert problem.startswith(
        f"{tmp_path}/log, column 'time': numbers beside dates and times as time stamps "
        "(for example numbers in a.parquet and 2 more files, dates and times in b.parquet). Write all"
    )


def test_parts_with_fractions_of_seconds_and_large_numbers_are_refused(tmp_path):
    write(tmp_path / "log" / "a.parquet", log([1, 2], time=[1, 2]))
    write(tmp_path / "log" / "b.parquet", log([1, 2], time=[1.5, 2]))
    write(tmp_path / "log" / "c.parquet", log([1, 2], time=[1 << 60, 2]))
    [problem] = problems_of(tmp_path / "log", columns=with_time())
    assert "fractions of seconds in b.parquet, numbers too large to be seconds in c.parquet" in problem
    [problem] = problems_of(write(tmp_path / "log.parquet", log([1, 2], time=[1.5, 1e18])), columns=with_time())
    assert "log.parquet, column 'time': fractions of seconds beside numbers too large to be seconds" in problem


def test_one_mistake_in_many_parts_is_one_problem(tmp_path):
    for number in range(20):
        good = log([1, 2]) if number else log([1, 2, 3], items=["a", "b", "c"], ratings=[1.0, 2.0, 3.0])
        write(tmp_path / "no-user" / f"{number:02}.parquet", {**good, "user_id": [None, *good["user_id"][1:]]})
        write(tmp_path / "no-rating" / f"{number:02}.parquet", {name: good[name] for name in ("user_id", "item_id")})
    [problem] = problems_of(tmp_path / "no-user")
    told = "and 19 more files, column 'user_id': no user id in 20 of 41 rows (for example row 1). Give every row"
    assert problem.startswith(f"{tmp_path}/no-user/00.parquet {told}")
    [problem] = problems_of(tmp_path / "no-rating")
    assert problem.startswith(f"{tmp_path}/no-rating/00.parquet and 19 more files: there is no column 'rating'; the")


@pytest.mark.parametrize("kind", [pa.float64(), pa.null(), pa.string()])
def test_a_part_without_rows_may_have_other_types(tmp_path, kind):
    write(tmp_path / "log" / "a.parquet", log([1, 2], time=[dt.datetime(2020, 1, 1)] * 2))
    nothing = {name: pa.array([], kind) for name in ("user_id", "item_id", "rating", "time")}
    write(tmp_path / "log" / "b.parquet", nothing)
    table = read(tmp_path / "log", columns=with_time())
    assert (table["user_id"].to_pylist(), table["timestamp"].to_pylist()) == ([1, 2], [1577836800_000000] * 2)
    (tmp_path / "log" / "a.parquet").unlink()
    [problem] = problems_of(tmp_path / "log", columns=with_time())
    assert "there are no rows of data" in problem
    del nothing["item_id"]
    write(tmp_path / "log" / "b.parquet", nothing)
    assert any("there is no column 'item_id'" in problem for problem in problems_of(tmp_path / "log"))


def test_each_part_tells_its_own_problems(tmp_path):
    write(tmp_path / "log" / "a.parquet", {"user": [1], "item_id": ["a"], "rating": [1]})
    write(tmp_path / "log" / "b.parquet", log([1, 2], ratings=["x", "4"]))
    problems = problems_of(tmp_path / "log")
    assert len(problems) == 2
    assert "a.parquet: there is no column 'user_id'" in problems[0]
    assert "b.parquet, column 'rating': a rating that is not a number in 1 of 2 rows" in problems[1]


@pytest.mark.parametrize("damage", ["cut", "footer", "page"])
def test_damaged_files_are_refused(tmp_path, damage):
    columns = log(list(range(5000)), items=[f"item {number}" for number in range(5000)], ratings=[1.0] * 5000)
    path = write(tmp_path / "log.parquet", columns, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    else:
        data[-7 if damage == "footer" else len(data) // 3] ^= 0xFF
    path.write_bytes(data)
    problems = problems_of(path)
    assert any("the Parquet data is cut off or damaged" in problem for problem in problems)


def test_a_log_of_events_is_told_how_it_is_read(tmp_path):
    path = write(tmp_path / "log.parquet", {"user_id": [1, 2], "item_id": ["a", "b"], "quantity": [1, 3]})
    rating, time = problems_of(path, columns=with_time())
    assert rating.endswith(
        "there is no column 'rating'; the columns are 'user_id', 'item_id', 'quantity'. "
        "Set source.columns.rating to the right one. "
        "For a log of events without ratings set source.feedback=implicit and source.columns.rating=null."
    )
    assert time.endswith("Set source.columns.timestamp to the right one, or to null if there are no time stamps.")
    columns = ColumnsConfig(rating=None)
    assert read(path, feedback="implicit", columns=columns).column_names == ["user_id", "item_id"]
