"""The arms, judges and seeds of a comparison, and how they are read from the command line.

An arm is a generator of synthetic users; a judge is a recommender that measures their usefulness.
"""

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar, get_args

from sdrm_core.config import ArmName, JudgeName, PipelineConfig
from sdrm_core.errors import ConfigError, SdrmError, did_you_mean, noted, raise_all
from sdrm_core.records import Record
from tasks.records import UserItemMatrix
from tasks.settings import deciding_settings

ALL_ARMS: tuple[ArmName, ...] = get_args(ArmName)
ALL_JUDGES: tuple[JudgeName, ...] = get_args(JudgeName)
REAL = "real"
_SEED = re.compile(r"\d{1,18}")
_TIMES = re.compile(r"[1-9]\d{0,3}")

T = TypeVar("T")


class ArmChoice(Record):
    """An arm and the number of users it makes: ``times`` times the number of training users."""

    arm: ArmName
    times: int = 1

    @property
    def label(self) -> str:
        """Return the name on the command line and in the tables, e.g. ``sdrm_full@10``."""
        return self.arm if self.times == 1 else f"{self.arm}@{self.times}"

    @property
    def is_ours(self) -> bool:
        """Return whether the arm is this project's own method (SDRM), not one to compare it with."""
        return self.arm.startswith("sdrm_")


class Comparison(Record):
    """The settings and options of one ``sdrm compare`` command.

    Attributes:
        config: settings; its seed, not ``seeds``, decides the users' roles and the judges' folds.
        arms: the generators of synthetic users.
        judges: the recommenders.
        seeds: seeds of training and sampling; each gives an independent fit.
        out: directory of all results, private to its owner.
        command: the command line, shown at the end of ``table.md``.
    """

    config: PipelineConfig
    arms: tuple[ArmChoice, ...]
    judges: tuple[JudgeName, ...]
    seeds: tuple[int, ...]
    out: Path
    command: str

    def question(self) -> dict[str, Any]:
        """Return the settings on which every result depends. Not arms, judges and seeds: these may be added later."""
        settings = deciding_settings(self.config)
        del settings["utility"]["judges"]
        return settings


class Job(Record):
    """A comparison whose input has been read.

    Attributes:
        comparison: settings and options of the command.
        matrix: the user-item matrix with the users' roles.
        digest: digest of settings and input; the digest of every cell depends on it.
    """

    comparison: Comparison
    matrix: UserItemMatrix
    digest: str

    def without(self, *, arms: Collection[str] = (), judges: Collection[str] = ()) -> Self:
        """Return a copy of the job without the arms with these labels and without these judges."""
        comparison = self.comparison.model_copy(
            update={
                "arms": tuple(choice for choice in self.comparison.arms if choice.label not in arms),
                "judges": tuple(judge for judge in self.comparison.judges if judge not in judges),
            }
        )
        return self.model_copy(update={"comparison": comparison})


class Compared(Record):
    """The files that a comparison wrote: the table as Markdown, all rows as Parquet, and the plots."""

    markdown: Path
    table: Path
    plots: tuple[Path, ...]


def parse_arms(text: str) -> tuple[ArmChoice, ...]:
    """Parse ``--arms``, e.g. ``popularity,sdrm_full,sdrm_full@10``.

    Raises:
        ConfigError: an unknown or repeated arm, or a bad number after the @.
    """
    choices = _parsed(text, _arm_choice, option="--arms")
    _require_distinct([choice.label for choice in choices], option="--arms")
    return choices


def parse_judges(text: str) -> tuple[JudgeName, ...]:
    """Parse ``--judges``, e.g. ``svd,ease``.

    Raises:
        ConfigError: an unknown or repeated judge.
    """
    judges = _parsed(text, _judge, option="--judges")
    _require_distinct(judges, option="--judges")
    return judges


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse ``--seeds``, e.g. ``0,1,2``.

    Raises:
        ConfigError: a seed is missing, repeated or not a whole number from 0.
    """
    seeds = _parsed(text, _seed, option="--seeds")
    _require_distinct(seeds, option="--seeds")
    return seeds


def _parsed(text: str, parse: Callable[[str], T], *, option: str) -> tuple[T, ...]:
    """Parse each name of a comma-separated list with ``parse``; all errors are raised together."""
    parsed: list[T] = []
    errors: list[SdrmError] = []
    for name in _names(text, option=option):
        with noted(errors):
            parsed.append(parse(name))
    raise_all(errors)
    return tuple(parsed)


def _arm_choice(name: str) -> ArmChoice:
    arm, at, times = name.partition("@")
    if at and not _TIMES.fullmatch(times):
        raise ConfigError(f"--arms: {name!r}: after the @ stands a whole number from 1 to 9999, e.g. {arm}@10")
    return ArmChoice(arm=_known(arm, ALL_ARMS, option="--arms", kind="arm"), times=int(times or 1))


def _judge(name: str) -> JudgeName:
    return _known(name, ALL_JUDGES, option="--judges", kind="judge")


def _seed(name: str) -> int:
    if not _SEED.fullmatch(name):
        raise ConfigError(f"--seeds: {name!r} is not a whole number from 0. Write them as 0,1,2")
    return int(name)


def _names(text: str, *, option: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ConfigError(f"{option}: {text!r} holds an empty name. Give at least one, separated by single commas")
    return names


def _known(name: str, names: Sequence[T], *, option: str, kind: str) -> T:
    for known in names:
        if known == name:
            return known
    texts = [str(known) for known in names]
    guess = did_you_mean(name, texts)
    raise ConfigError(f"{option}: there is no {kind} {name!r}.{guess} There are: {', '.join(texts)}")


def _require_distinct(names: Sequence[object], *, option: str) -> None:
    repeated = [name for place, name in enumerate(names) if name in names[:place]]
    if repeated:
        raise ConfigError(f"{option}: {repeated[0]} is named twice. Name each one once")
