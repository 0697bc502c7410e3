"""The result of the format readers: the mapped columns of one file, not yet interpreted.

A mapped column is one that the configuration (``source.columns``) assigns to a role such as ``user_id``.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from sdrm_core.config import SourceConfig
from sdrm_core.errors import Problem

USER, ITEM, RATING, TIMESTAMP = "user_id", "item_id", "rating", "timestamp"
_SHOWN_NAMES = 12
_MOST_NAMES = 100  # a file with more columns may be a matrix with user ids as column names: messages never show these
SHOWN_CHARACTERS = 60
# The other choice for a role whose column does not exist in the file; added to the message.
_OTHERWISE = {
    RATING: ". For a log of events without ratings set source.feedback=implicit and source.columns.rating=null",
    TIMESTAMP: ", or to null if there are no time stamps",
}


@dataclass(frozen=True, eq=False)
class RawColumn:
    """One column as it is in the file.

    Attributes:
        name: name of the column in the file.
        values: any Arrow type; text may be binary (not yet checked for UTF-8) and dictionary-encoded.
        is_untyped: the file does not say the type (as in CSV): digits may mean an integer or text.
    """

    name: str
    values: pa.ChunkedArray
    is_untyped: bool


@dataclass(frozen=True, eq=False)
class RawFile:
    """The mapped columns of one file.

    Attributes:
        path: the file.
        columns: the columns that could be read, by role (``user_id`` …).
        locate: returns the place of a row in the file, e.g. ``line 17``; rows are counted from 0.
    """

    path: Path
    columns: dict[str, RawColumn]
    locate: Callable[[int], str]


def wanted_columns(source: SourceConfig) -> dict[str, str]:
    """Return the configured column name by role; roles that are not used are left out.

    A time stamp only decides which rating of a pair counts, so events without ratings need none.
    """
    columns = source.columns
    wanted = {USER: columns.user, ITEM: columns.item}
    if source.feedback == "explicit":
        rating = {RATING: columns.rating, TIMESTAMP: columns.timestamp}
        wanted |= {role: name for role, name in rating.items() if name is not None}
    return wanted


def find_columns(
    path: Path, names: Sequence[str], source: SourceConfig, *, may_be_data: bool = False, advice: str = ""
) -> tuple[dict[str, int], list[Problem]]:
    """Return the position of each wanted column by role, and a problem for each one that is missing or repeated.

    Args:
        path: the file.
        names: all column names of the file.
        source: gives the names of the wanted columns.
        may_be_data: the first line may be data instead of a header. Then a message quotes its fields only if one of
            them is a wanted column, because otherwise a field may be a user id.
        advice: another frequent mistake with this format; added to the message if no column has a similar name.
    """
    positions: dict[str, int] = {}
    problems = []
    wanted = wanted_columns(source)
    is_header = not may_be_data or any(name in names for name in wanted.values())
    quotable = names if is_header and len(names) <= _MOST_NAMES else ()
    told = f"the columns are {_listed(quotable)}" if quotable else _not_quoted(len(names))
    for role, name in wanted.items():
        count = names.count(name)
        if count == 1:
            positions[role] = names.index(name)
        elif count:
            problems.append(
                Problem(str(path), f"column {name!r} occurs {count} times", "Give each column a name of its own.")
            )
        else:
            remedy = _remedy(role, name, quotable, advice=advice)
            problems.append(Problem(str(path), f"there is no column {name!r}; {told}", remedy))
    return positions, problems


def _not_quoted(n_columns: int) -> str:
    """Describe the columns without their names, which may be user ids."""
    if n_columns > _MOST_NAMES:
        return f"there are {n_columns:,} columns, as of a matrix of users by items; a log has a row an interaction"
    if n_columns > 1:
        return f"none of the {n_columns} fields of its first line is a column asked for"
    return "its first line is one field, not a column asked for" if n_columns else "there are none at all"


def _remedy(role: str, name: str, names: Sequence[str], *, advice: str) -> str:
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    guess = f", perhaps {nearest[0]!r}" if nearest else ""
    further = f" {advice}" if advice and not nearest else ""
    return f"Set source.columns.{role.removesuffix('_id')} to the right one{guess}{_OTHERWISE.get(role, '')}.{further}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:SHOWN_CHARACTERS]) for name in names[:_SHOWN_NAMES])
    return shown + (f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else "")
