"""What the format readers hand on: the mapped columns of one file, not yet interpreted."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from sdrm_core.config import SourceConfig
from sdrm_core.errors import Problem

USER, ITEM, RATING, TIMESTAMP = "user_id", "item_id", "rating", "timestamp"
_SHOWN_NAMES = 12
_MOST_NAMES = 100  # of a log's columns; of a matrix they may be user ids, which no message shows
_SHOWN_CHARACTERS = 60
# What else a role's column may be set to, where it is not another one's name.
_OTHERWISE = {
    RATING: ". For a log of events without ratings set source.feedback=implicit and source.columns.rating=null",
    TIMESTAMP: ", or to null if there are no time stamps",
}


@dataclass(frozen=True, eq=False)
class RawColumn:
    """One column as the file has it.

    Attributes:
        name: the column's name in the file.
        values: any Arrow type; text may be binary (not yet known to be UTF-8) and dictionary-encoded.
        is_untyped: the format has no types (CSV), so that digits may be meant as an integer or as text.
    """

    name: str
    values: pa.ChunkedArray
    is_untyped: bool


@dataclass(frozen=True, eq=False)
class RawFile:
    """The mapped columns of one file.

    Attributes:
        path: the file.
        columns: by the role they play (``user_id`` …); only those that could be read.
        locate: tells where the row of a position (from 0) stands, e.g. ``line 17``.
    """

    path: Path
    columns: dict[str, RawColumn]
    locate: Callable[[int], str]


def wanted_columns(source: SourceConfig) -> dict[str, str]:
    """Return the source's column name by role, for the roles that are used."""
    columns = source.columns
    wanted = {USER: columns.user, ITEM: columns.item}
    if source.feedback == "explicit" and columns.rating is not None:
        wanted[RATING] = columns.rating
    if columns.timestamp is not None:
        wanted[TIMESTAMP] = columns.timestamp
    return wanted


def find_columns(
    path: Path, names: Sequence[str], source: SourceConfig, *, may_be_data: bool = False, advice: str = ""
) -> tuple[dict[str, int], list[Problem]]:
    """Return the position of each wanted column by role, and a problem for each that is missing or there twice.

    Args:
        path: the file.
        names: its columns.
        source: names the wanted ones.
        may_be_data: the first line may be data instead of a header. Its fields are only quoted if one of them is a
            wanted column: they may hold a user id.
        advice: what else is often wrong with this format; added if no column has a similar name.
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
    """Return what is there in place of a wanted column, where it may be of users."""
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
    shown = ", ".join(repr(name[:_SHOWN_CHARACTERS]) for name in names[:_SHOWN_NAMES])
    return shown + (f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else "")
