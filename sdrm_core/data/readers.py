"""Read the interactions from files of any supported format into one table, and report all problems together."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sdrm_core.config import SourceConfig
from sdrm_core.data.csv_reader import read_csv
from sdrm_core.data.formats import check_head, format_of
from sdrm_core.data.ids import parse_ids
from sdrm_core.data.json_reader import read_jsonl
from sdrm_core.data.parquet_reader import read_parquet
from sdrm_core.data.raw import ITEM, RATING, TIMESTAMP, USER, RawColumn, RawFile, wanted_columns
from sdrm_core.data.sources import LocatedSource
from sdrm_core.data.values import parse_ratings, parse_timestamps
from sdrm_core.errors import DataError, Problem, collected, merged

_Parser = Callable[[Sequence[RawFile]], tuple[pa.ChunkedArray, list[Problem]]]
_INTEGER = r"\A[+-]?[0-9]+\z"  # leading zeros and any length are allowed: no column has such a name


def read_interactions(located: LocatedSource, source: SourceConfig) -> pa.Table:
    """Return the interactions of all files, in the order of the files.

    Args:
        located: the files.
        source: format of the files, names of the columns, types of the ids.

    Returns:
        Columns ``user_id`` and ``item_id`` (int64 or dictionary-encoded string); for explicit feedback ``rating``
        (float64), and ``timestamp`` (int64) if configured. There are no nulls, all ratings are finite, and there are
        at least two users and two items.

    Raises:
        DataError: all problems of all files; or there are no rows, fewer than two users or fewer than two items.
        OSError: a file cannot be read now; another try may succeed.
    """
    columns, problems = _read(located.files, source)
    if not problems:
        problems = _too_little(located.uri, users=columns[USER], items=columns[ITEM])
    if problems:
        raise DataError(problems)
    return pa.table(columns)


def problems_in(files: Sequence[Path], source: SourceConfig) -> list[Problem]:
    """Return the problems in the files. Too few users or items are no problem: these may be only some of the files."""
    return _read(files, source)[1]


def _read(paths: Sequence[Path], source: SourceConfig) -> tuple[dict[str, pa.ChunkedArray], list[Problem]]:
    """Return the columns of all files by role, each as one column, and what is wrong in the files."""
    files: list[RawFile] = []
    problems: list[Problem] = []
    for path in paths:
        with collected(problems):
            file, found = _read_file(path, source)
            problems += found
            files += [] if file is None else [file]
    files = [file for file in files if _has_rows(file)]  # tools give a part without rows types of their own
    problems += [problem for file in files for problem in _repeated_headers(file) or _foreign_header(file, source)]
    parsers: dict[str, _Parser] = {
        USER: partial(parse_ids, role=USER, wanted=source.user_id_type),
        ITEM: partial(parse_ids, role=ITEM, wanted=source.item_id_type),
        RATING: parse_ratings,
        TIMESTAMP: parse_timestamps,
    }
    columns = {}
    for role in wanted_columns(source):
        columns[role], found = parsers[role](files)
        problems += found
        for file in files:
            file.columns.pop(role, None)  # frees the raw column, which is no longer needed
    return columns, merged(problems)


def _has_rows(file: RawFile) -> bool:
    return any(len(column.values) for column in file.columns.values())


def _repeated_headers(file: RawFile) -> list[Problem]:
    """Return a problem if some rows are column names (files joined with their headers): all ids would become text.

    Only untyped files from which only user and item ids are read are checked: in a column of ratings or time stamps,
    a column name is reported anyway, because it is not a number.
    """
    if not _is_untyped_pairs(file):
        return []
    user, item = (_rows_of(column, column.name.encode()) for column in file.columns.values())
    rows = np.intersect1d(user, item)
    if not len(rows):
        return []
    remedy = "Remove them: files that were put together keep their headers, and source.header is for files without one."
    return [Problem(str(file.path), f"column names in {len(rows):,} rows", remedy, example=file.locate(int(rows[0])))]


def _foreign_header(file: RawFile, source: SourceConfig) -> list[Problem]:
    """Return a problem if ``source.header`` is set, but the first row is a header with other column names.

    Only untyped files from which only user and item ids are read are checked (see ``_repeated_headers``).
    """
    if source.header is None or not _is_untyped_pairs(file):
        return []
    named = [column for column in file.columns.values() if _begins_with_name(column)]
    if not named:
        return []
    where = ", ".join([str(file.path), *(f"column {column.name!r}" for column in named)])
    what = f"no integer in 1 of {len(named[0].values):,} rows, as in a line of column names"
    remedy = "Remove that line, or leave out source.header and set source.columns to the names in it."
    return [Problem(where, what, remedy, example=file.locate(0))]


def _is_untyped_pairs(file: RawFile) -> bool:
    return set(file.columns) == {USER, ITEM} and all(column.is_untyped for column in file.columns.values())


def _begins_with_name(column: RawColumn) -> bool:
    """Return whether the first row is not an integer and all other rows (at least one) are."""
    if len(column.values) < 2:
        return False
    first = column.values[0].as_py()
    others = (chunk.dictionary.filter(pc.not_equal(chunk.dictionary, first)) for chunk in column.values.chunks)
    is_name = not _are_integers(pa.array([first]))
    return is_name and all(map(_are_integers, others)) and len(_rows_of(column, first)) == 1


def _are_integers(texts: pa.Array) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, _INTEGER), min_count=0).as_py())


def _rows_of(column: RawColumn, value: bytes) -> np.ndarray:
    """Return the numbers of the rows, ascending, whose value equals ``value``."""
    name, rows, start = pa.scalar(value, pa.binary()), [np.zeros(0, np.int64)], 0
    for chunk in column.values.chunks:
        code = chunk.dictionary.index(name).as_py()
        if code >= 0:
            rows.append(start + np.flatnonzero(chunk.indices.fill_null(-1).to_numpy() == code))
        start += len(chunk)
    return np.concatenate(rows)


def _too_little(uri: str, *, users: pa.ChunkedArray, items: pa.ChunkedArray) -> list[Problem]:
    """Return the problem of a log with no rows, or the problems of one with a single user or a single item."""
    if not len(users):
        return [Problem(uri, "there are no rows of data", "Give a source with interactions.")]
    return [
        Problem(
            where=uri,
            what=f"all {len(ids):,} rows belong to one {name}, at least 2 are needed",
            remedy=f"Check that source.columns.{name} names the column of the {name} id and that the source is whole.",
        )
        for name, ids in (("user", users), ("item", items))
        if len(ids.unique()) < 2
    ]


def _read_file(path: Path, source: SourceConfig) -> tuple[RawFile | None, list[Problem]]:
    kind = format_of(path, source)
    problem = check_head(path, kind)
    if problem is not None:
        return None, [problem]
    if kind == "parquet":
        return read_parquet(path, source)
    if kind == "jsonl":
        return read_jsonl(path, source)
    return read_csv(path, kind, source)
