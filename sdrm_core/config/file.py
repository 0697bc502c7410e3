"""Load a configuration from a YAML file and ``--set`` overrides, and explain errors in it.

The settings themselves are in ``sdrm_core.config``.
"""

import re
import string
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from sdrm_core.config.pipeline import NAME_PATTERN, PipelineConfig
from sdrm_core.config.section import is_section
from sdrm_core.config.source import CREDENTIALS_PATTERN, DELIMITER_PATTERN, SHA256_PATTERN
from sdrm_core.errors import ConfigError, SdrmError, did_you_mean, noted, raise_all

_IN_WORDS = {
    NAME_PATTERN: "may contain only letters (A-Z, a-z), digits, dots, underscores and hyphens, and must begin with a "
    "letter or a digit",
    DELIMITER_PATTERN: "must be one ASCII character, but no letter, digit, dot, minus, quote or line break",
    SHA256_PATTERN: "must be 64 hexadecimal digits in lower case",
}
_SIGNS = frozenset(string.punctuation + " \t") - {"~"}  # YAML would start a block or a comment
_PAIRS = frozenset("[]{}\"'")  # signs that mean something together, such as an empty list
_WHOLE, _REAL = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_NOT_DECIMAL = re.compile(r"[-+]?0[0-9_bx]|.*:")  # to YAML 1.1, 010 is 8 and 1:30 is 90


def load_config(path: Path | None, overrides: Sequence[str] = ()) -> PipelineConfig:
    """Read a YAML file (None: all defaults), apply ``section.key=value`` overrides and validate.

    Raises:
        ConfigError: the file cannot be read, is not valid YAML, or has an unknown key (the message names the most
            similar valid one) or a wrong value.
    """
    try:
        return _loaded(path, overrides)
    except ConfigError as error:
        raise ConfigError(_without_passwords(str(error))) from None


def _loaded(path: Path | None, overrides: Sequence[str]) -> PipelineConfig:
    tree = _read_yaml(path) if path else {}
    errors: list[SdrmError] = []
    for override in overrides:
        with noted(errors):
            _apply_override(tree, override)
    with noted(errors):
        config = _validated(tree, source=str(path) if path else "the configuration", overrides=overrides)
    raise_all(errors)
    return config


def _validated(tree: Mapping[str, Any], *, source: str, overrides: Sequence[str]) -> PipelineConfig:
    try:
        return PipelineConfig.model_validate(tree)
    except ValidationError as error:
        keys = tuple(override.partition("=")[0] for override in overrides)
        raise ConfigError("\n".join(_explain(problem, source, keys) for problem in error.errors())) from None


def _without_passwords(text: str) -> str:
    """Remove possible credentials from a message; to be safe, more of a line than necessary is removed."""
    return re.sub(rf"({CREDENTIALS_PATTERN}).*", r"\1…", re.sub(r":/.*@", "://…@", text))


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader that refuses duplicate keys, of which PyYAML would keep the last one, and odd numbers (below)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set[str]()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is set twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _decimal(loader: _UniqueKeys, node: yaml.ScalarNode) -> int | float:
    """Return a number; refuse one that YAML 1.1 reads as octal, binary, hexadecimal or sexagesimal."""
    if _NOT_DECIMAL.match(node.value):
        told = f"{node.value} is no decimal number; write it as one, or in quotes if it is text"
        raise yaml.constructor.ConstructorError(None, None, told, node.start_mark)
    return loader.construct_yaml_int(node) if node.tag == _WHOLE else loader.construct_yaml_float(node)


for _tag in (_WHOLE, _REAL):
    _UniqueKeys.add_constructor(_tag, _decimal)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8") as file:  # not as text: an error would quote it, maybe a password
            tree = yaml.load(file, Loader=_UniqueKeys)  # noqa: S506 - a safe loader
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}). Give the path of a YAML file") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: 2024-02-30 would be a date
        raise ConfigError(f"{path}: is not valid YAML ({error})") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: must contain 'key: value' settings, not a {type(tree).__name__}")
    return tree


def _apply_override(tree: dict[str, Any], override: str) -> None:
    dotted, separator, text = override.partition("=")
    if not separator or not dotted:
        raise ConfigError(f"--set {override!r}: write it as section.key=value")
    try:
        is_signs = text in _SIGNS or (text and set(text) <= _SIGNS - _PAIRS)
        value = text if is_signs else yaml.load(StringIO(text), Loader=_UniqueKeys)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"--set {override!r}: the value is not valid YAML ({error})") from None
    *sections, key = dotted.split(".")
    for section in sections:
        if tree.get(section) is None:  # missing, or a section without settings
            tree[section] = {}
        tree = tree[section]
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {override!r}: {section!r} is a value, not a section")
    tree[key] = value


def _explain(problem: Mapping[str, Any], source: str, overridden: Sequence[str]) -> str:
    dotted = ".".join(str(part) for part in problem["loc"])
    if any(dotted == key or dotted.startswith(f"{key}.") for key in overridden):
        source = "the command line"
    elif any(not dotted or key.startswith(f"{dotted}.") for key in overridden):
        source += " and the command line"
    if problem["type"] != "extra_forbidden":
        where = f"{source}: {dotted}" if dotted else source
        is_shown = problem["type"] != "model_type" and not isinstance(problem["input"], Mapping)
        given = f" (got {problem['input']!r})" if is_shown else ""
        return f"{where}: {_in_words(problem)}{given}"
    guess = did_you_mean(dotted, list(_dotted_keys(PipelineConfig)))
    return f"{source}: {dotted}: there is no such setting.{guess}"


def _in_words(problem: Mapping[str, Any]) -> str:
    """Explain what is wrong with a value, without terms of Python or regular expressions."""
    if problem["type"] == "model_type":  # the value may be secret, e.g. a database URL for `source`
        section = ".".join(map(str, problem["loc"]))
        first = next(key for key in _dotted_keys(PipelineConfig) if key.startswith(f"{section}."))
        return f"is a group of settings; set each by its own path, e.g. {first}"
    if problem["type"] == "tuple_type":
        given = "" if problem["input"] is None else problem["input"]
        return f"must be a list in brackets: [{given if isinstance(given, str | int | float) else '…'}]"
    if problem["type"] == "string_type" and isinstance(problem["input"], int | float | date | Mapping):
        shown = "" if isinstance(problem["input"], Mapping) else f": '\"{problem['input']}\"'"  # it may be secret
        return f"must be text; put in quotes what YAML reads as another type{shown}"
    if problem["type"] == "string_pattern_mismatch":
        return _IN_WORDS[problem["ctx"]["pattern"]]
    return str(problem["msg"]).removeprefix("Value error, ").replace("Tuple", "List")


def _dotted_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        kinds = (field.annotation, *get_args(field.annotation))
        for kind in kinds:
            if is_section(kind):
                yield from _dotted_keys(kind, f"{prefix}{name}.")
