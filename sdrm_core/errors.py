"""All errors that the pipeline raises on purpose. Those that are also an ``OSError`` may succeed on a retry."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any


class SdrmError(Exception):
    """Base class of all errors whose message explains the problem to the user."""


class ConfigError(SdrmError, ValueError):
    """The configuration is wrong; the message names the setting and the remedy."""


@contextmanager
def noted(errors: list[SdrmError]) -> Iterator[None]:
    """Append an ``SdrmError`` of the block to ``errors`` instead of raising it, so that the caller can check more.

    ``raise_all`` raises the collected errors.
    """
    try:
        yield
    except SdrmError as error:
        errors.append(error)


def raise_all(errors: Sequence[SdrmError]) -> None:
    """Raise one error of the first error's class with all messages, one per line; do nothing if there are no errors."""
    if errors:
        raise type(errors[0])("\n".join(map(str, errors)))


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return " Did you mean …?" with the known name that is most like ``name``; empty if none is like it."""
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" Did you mean {nearest[0]}?" if nearest else ""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the input data.

    Attributes:
        where: the file or the setting, e.g. ``ratings.csv``.
        what: what is wrong, e.g. ``no user id``.
        remedy: what the user can do about it.
        example: the first offending row or value, e.g. ``line 17: 'five'``; empty if there is none.
        column: the column, if it is one column's problem.
        n_bad: number of offending rows, of ``n_rows``; both are 0 if it is not a problem of single rows.
    """

    where: str
    what: str
    remedy: str
    example: str = ""
    column: str = ""
    n_bad: int = 0
    n_rows: int = 0

    def __str__(self) -> str:
        column = f", column {self.column!r}" if self.column else ""
        rows = f" in {self.n_bad:,} of {self.n_rows:,} rows" if self.n_rows else ""
        example = f" (for example {self.example})" if self.example else ""
        return f"{self.where}{column}: {self.what}{rows}{example}. {self.remedy}"


def merged(problems: Sequence[Problem]) -> list[Problem]:
    """Return one problem for all that differ in nothing but the file and its rows.

    It names the first file and how many more have the problem. The rows are those of all files together; the example is
    the first file's.
    """
    alike: dict[Problem, list[Problem]] = {}
    for problem in problems:
        alike.setdefault(replace(problem, where="", example="", n_bad=0, n_rows=0), []).append(problem)
    return [
        replace(
            some[0],
            where=and_more([problem.where for problem in some]),
            n_bad=sum(problem.n_bad for problem in some),
            n_rows=sum(problem.n_rows for problem in some),
        )
        for some in alike.values()
    ]


def and_more(files: Sequence[object]) -> str:
    """Return the first file and the number of the others, e.g. ``part-0.parquet and 1,999 more files``."""
    n_more = len(files) - 1
    return f"{files[0]} and {n_more:,} more file{'' if n_more == 1 else 's'}" if n_more else str(files[0])


class DataError(SdrmError, ValueError):
    """The input data cannot be used; the error contains all problems found, not only the first.

    ``problems`` is empty if the error was restored from its text, as Prefect does with stored results.
    """

    def __init__(self, problems: Problem | Sequence[Problem] | str) -> None:
        found = (problems,) if isinstance(problems, Problem | str) else tuple(problems)
        self.problems = tuple(problem for problem in found if isinstance(problem, Problem))
        super().__init__("\n".join(map(str, found)))


@contextmanager
def collected(problems: list[Problem]) -> Iterator[None]:
    """Append the problems of a ``DataError`` in the block to ``problems`` instead of raising it."""
    try:
        yield
    except DataError as error:
        problems += error.problems


class SourceChangingError(DataError, OSError):
    """A source was changed while it was read; another try may succeed."""


class SourceUnreachableError(DataError, ConnectionError):
    """The server of a source failed or could not be reached; another try may succeed, as with other ``OSError``s."""


class TrainingError(SdrmError, RuntimeError):
    """Training cannot continue: the loss is not finite, or the model learned nothing."""


class ArtifactError(SdrmError):
    """A file that the pipeline wrote is missing or was changed.

    Deliberately not an ``OSError``: stages are retried after those, but a changed file stays changed.
    """


class GateFailed(SdrmError):  # noqa: N818 - a verdict, not a malfunction
    """A quality gate failed; nothing is published.

    Attributes:
        gate: name of the gate.
        report: full report of the gate, JSON-compatible. Both are empty if the error was restored from its text.
    """

    def __init__(self, message: str, *, gate: str = "", report: dict[str, Any] | None = None) -> None:
        self.gate = gate
        self.report = report or {}
        super().__init__(message)
