"""Write ``template.yaml``: every setting with its description, bounds and default, as the configuration has them.

``python -m deployments.template > deployments/template.yaml``
"""

import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel

from sdrm_core.config import PipelineConfig

_WIDTH = 116
_HEAD = """\
# Every setting, with its default. Copy this file and keep only the lines you change, so that you get improved defaults.
# On the command line a setting is named by its path, e.g. --set vae.max_epochs=50
"""
_BOUNDS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}


def template() -> str:
    """Return the text of ``template.yaml``."""
    return "\n".join([_HEAD, *_lines(PipelineConfig.model_validate({}), indent="")]) + "\n"


def _lines(section: BaseModel, *, indent: str) -> Iterator[str]:
    schema = type(section).model_json_schema()["properties"]
    fields = type(section).model_fields
    names = sorted(fields, key=lambda name: isinstance(getattr(section, name), BaseModel))  # sections last
    for name in names:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield ""
            yield from _comment(type(value).__doc__ or "", indent=indent)
            yield f"{indent}{name}:"
            yield from _lines(value, indent=indent + "  ")
        else:
            bounds = ", ".join(_bounds(schema[name]))
            yield from _comment(f"{fields[name].description}{f' ({bounds})' if bounds else ''}", indent=indent)
            yield f"{indent}{name}: {_yaml(section.model_dump(mode='json')[name])}"


def _comment(text: str, *, indent: str) -> list[str]:
    prefix = f"{indent}# "
    words = " ".join(text.split())
    return textwrap.wrap(words, _WIDTH, initial_indent=prefix, subsequent_indent=prefix, break_on_hyphens=False)


def _bounds(schema: dict[str, Any]) -> Iterator[str]:
    """Yield what the JSON schema of a setting says about its values, the strict bound before the lax one."""
    for kind in schema.get("anyOf", [schema]):
        for strict, lax in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            key = strict if strict in kind else lax
            if key in kind:
                yield f"{_BOUNDS[key]} {kind[key]}"
        choices = kind.get("enum") or kind.get("items", {}).get("enum")
        if choices:
            yield f"{'any' if 'items' in kind else 'one'} of {' | '.join(choices)}"


def _yaml(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n").removesuffix("\n...")


if __name__ == "__main__":
    sys.stdout.write(template())
