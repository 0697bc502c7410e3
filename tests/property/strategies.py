"""What the properties of the data room are tried on: logs and matrices in every representation they can take."""

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from sdrm_core.data.interactions import IndexedLog

_SIZE = 6
FEW_USERS = st.integers(0, _SIZE - 1)
FEW_ITEMS = st.integers(0, _SIZE - 1)

_MISSING = {"NULL", "null", "NaN", "nan", "None", r"\N", "<NA>"}  # no ids, nor are blanks

# Text that readers like to break: separators, quotes, line ends, marks, numbers that are none.
NASTY = [
    "007",
    "+1",
    "-0",
    "1.0",
    "1e3",
    "Null",
    "nans",
    "N/A",
    '"',
    '""',
    "a,b",
    "a\tb",
    "a;b",
    "a\nb",
    "\r\nx",
    "\rx",
    " x",
    "x\ufeff",
]
NASTY += [
    "'",
    "\\n",
    "\\",
    "#",
    "=1+1",
    "🙂",
    "e\u0301",
    "\u202e",
    "\u2028",
    "9" * 30,
    "9223372036854775808",
    "true",
    "-",
]


def texts(*, exclude: str = "") -> st.SearchStrategy[str]:
    """Ids of any Unicode text but blanks, words for a missing value, and a byte-order mark in front."""
    characters = st.characters(exclude_categories=["Cs"], exclude_characters=exclude)
    nasty = st.sampled_from([text for text in NASTY if not set(text) & set(exclude)])
    ids = st.one_of(nasty, st.text(characters, min_size=1, max_size=8))
    return ids.filter(lambda text: text.strip() not in {"", *_MISSING} and not text.startswith("\ufeff"))


def integers() -> st.SearchStrategy[int]:
    """Ids of any 64-bit integer, the ends included."""
    return st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([-(2**63), 2**63 - 1, 0, -1, 2**53 + 1]))


@st.composite
def rating_rows(draw) -> list[tuple[int, int, float, int]]:
    """Rows (user, item, rating, time stamp) with many repeated pairs and equal time stamps, in any order."""
    row = st.tuples(FEW_USERS, FEW_ITEMS, st.sampled_from([1.0, 3.5, 4.0, 5.0]), st.integers(0, 3))
    return draw(st.lists(row, min_size=1, max_size=40))


@st.composite
def tables(draw, rows: list[tuple[int, int, float, int]]) -> pa.Table:
    """The rows in another order, cut into chunks of any length, some of them empty."""
    shuffled = draw(st.permutations(rows))
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    names = ("user_id", "item_id", "rating", "timestamp")
    types = (pa.int64(), pa.string(), pa.float64(), pa.int64())
    columns = [
        [row[0] for row in shuffled],
        [f"i{row[1]}" for row in shuffled],
        *zip(*[row[2:] for row in shuffled], strict=True),
    ]
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    whole = pa.table(dict(zip(names, arrays, strict=True)))
    return pa.concat_tables(
        [whole.slice(start, stop - start) for start, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    )


@st.composite
def indexed_logs(draw) -> IndexedLog:
    """A log of unique pairs, some of them not positive, with users and items that have no pair at all."""
    pairs = draw(st.dictionaries(st.tuples(FEW_USERS, FEW_ITEMS), st.booleans(), max_size=_SIZE * _SIZE))
    ordered = sorted(pairs)
    return IndexedLog(
        user=np.array([user for user, _ in ordered], dtype=np.int32),
        item=np.array([item for _, item in ordered], dtype=np.int32),
        positive=np.array([pairs[pair] for pair in ordered], dtype=bool),
        users=pa.array([10 * user for user in range(_SIZE)]),
        items=pa.array([f"i{item}" for item in range(_SIZE)]),
    )


@st.composite
def messy_matrices(draw, *, values: tuple[float, ...]) -> csr_matrix:
    """A CSR matrix with stored zeros, duplicates, unsorted columns and empty rows, none of it declared."""
    n_items = draw(st.integers(1, _SIZE))
    cells = st.tuples(st.integers(0, n_items - 1), st.sampled_from(values))
    rows = draw(st.lists(st.lists(cells, max_size=8), max_size=_SIZE))
    columns = np.array([column for row in rows for column, _ in row], dtype=np.int32)
    data = np.array([value for row in rows for _, value in row], dtype=np.float64)
    starts = np.cumsum([0, *map(len, rows)])
    return csr_matrix((data, columns, starts), shape=(len(rows), n_items))
