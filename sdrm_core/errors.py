"""Every error the product raises on purpose. Those of a source that are ``OSError``s are worth a retry."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


class SdrmError(Exception):
    """Base of all errors that are explained to the user as a sentence."""


class ConfigError(SdrmError, ValueError):
    """The configuration is wrong; names the dotted path and the remedy."""


@contextmanager
def noted(errors: list[SdrmError]) -> Iterator[None]:
    """Catch an error of the block and append it to ``errors``, so that the caller can check more; see ``raise_all``."""
    try:
        yield
    except SdrmError as error:
        errors.append(error)


def raise_all(errors: Sequence[SdrmError]) -> None:
    """Raise one error of the first one's kind with the messages of all, one a line; return if there are none."""
    if errors:
        raise type(errors[0])("\n".join(map(str, errors)))


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the input data.

    Attributes:
        where: the file, and the column where there is one, e.g. ``ratings.csv, column 'rating'``.
        what: what is wrong, with the number of rows, e.g. ``3 values are not numbers``.
        example: the first offending row or value, e.g. ``line 17: 'five'``; empty if there is none.
        remedy: what the user can do about it.
    """

    where: str
    what: str
    remedy: str
    example: str = ""

    def __str__(self) -> str:
        example = f" (for example {self.example})" if self.example else ""
        return f"{self.where}: {self.what}{example}. {self.remedy}"


class DataError(SdrmError, ValueError):
    """The input data cannot be used; carries every problem found, not only the first.

    ``problems`` is empty if the error was restored from its text, as Prefect does with stored results.
    """

    def __init__(self, problems: Problem | Sequence[Problem] | str) -> None:
        found = (problems,) if isinstance(problems, Problem | str) else tuple(problems)
        self.problems = tuple(problem for problem in found if isinstance(problem, Problem))
        super().__init__("\n".join(map(str, found)))


@contextmanager
def collected(problems: list[Problem]) -> Iterator[None]:
    """Catch a ``DataError`` of the block and append its problems to ``problems``, so that the caller can check more."""
    try:
        yield
    except DataError as error:
        problems += error.problems


class SourceChangingError(DataError, OSError):
    """A source was written to while it was read: trying again may help."""


class SourceUnreachableError(DataError, ConnectionError):
    """The server of a source failed or could not be reached: trying again may help, as with other ``OSError``s."""


class TrainingError(SdrmError, RuntimeError):
    """Training cannot go on: the loss is not finite, or nothing was learned."""


class ArtifactError(SdrmError):
    """A file between two stages is missing or not what was written.

    Deliberately not an ``OSError``: those are retried, and a changed file stays changed.
    """


class GateFailed(SdrmError):  # noqa: N818 - a verdict, not a malfunction
    """A quality gate said no; nothing is published.

    Attributes:
        gate: the gate's name.
        report: the gate's full report, JSON-compatible; like the name, empty if the error was restored from its text.
    """

    def __init__(self, message: str, *, gate: str = "", report: dict[str, Any] | None = None) -> None:
        self.gate = gate
        self.report = report or {}
        super().__init__(message)
