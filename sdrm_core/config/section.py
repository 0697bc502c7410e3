"""What all groups of settings have in common."""

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

Share = Annotated[float, Field(ge=0, le=1)]


def is_section(kind: object) -> bool:
    """Return whether the type of a setting is a group of settings."""
    return isinstance(kind, type) and issubclass(kind, Section)


class Section(BaseModel):
    """A frozen group of settings; an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty_section_sets_nothing(cls, given: Any) -> Any:
        """Treat a section that is empty (null) in the YAML file as one with default settings."""
        if not isinstance(given, Mapping):
            return given
        sections = {name for name, field in cls.model_fields.items() if is_section(field.annotation)}
        return {name: {} if value is None and name in sections else value for name, value in given.items()}

    @field_validator("*", mode="before")
    @classmethod
    def _no_bool_for_another_type(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse ``true`` and ``false`` for a setting of another type; pydantic would read them as 1 and 0."""
        asked_for = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and bool not in {asked_for, *get_args(asked_for)}:
            raise ValueError(f"{str(value).lower()} is a boolean, and this setting is not one")
        return value


def require_ordered(section: Section, low: str, high: str) -> None:
    """Raise a ``ValueError`` if the setting named ``low`` is above the one named ``high``."""
    least, most = getattr(section, low), getattr(section, high)
    if least > most:
        raise ValueError(f"{low} ({least:g}) must not be above {high} ({most:g})")
