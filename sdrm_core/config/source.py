"""Settings of the source, the filter and the users' roles."""

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from sdrm_core.config.places import with_home
from sdrm_core.config.section import Section, Share

DELIMITER_PATTERN = r"^[\t !#-&(-,/:-@\[-`{-~]$"  # a letter, digit, dot, minus or quote is part of the values
SHA256_PATTERN = r"^[0-9a-f]{64}$"
CREDENTIALS_PATTERN = r"(?i:(?<![/\w])\w*(?:password|passwd|pwd)\s*=)"  # as keywords have them
_ELSEWHERE = re.compile(r"://|^(//)?[^/]*:[^/]*@")


class ColumnsConfig(Section):
    """Names of the columns of the source."""

    user: str = Field("user_id", description="column of the user id")
    item: str = Field("item_id", description="column of the item id")
    rating: str | None = Field("rating", description="column of the rating; null: there is none (implicit feedback)")
    timestamp: str | None = Field(None, description="column of the time stamp (explicit only); null: there is none")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [name for name in (self.user, self.item, self.rating, self.timestamp) if name is not None]
        if len(set(names)) < len(names):
            raise ValueError(f"user, item, rating and timestamp must be different columns; they are set to {names}")
        return self


class SourceConfig(Section):
    """Where the interactions come from and how to read them."""

    uri: str = Field(
        "embedded",
        min_length=1,
        description="a file, a directory of Parquet files, 'embedded', or a named data set: "
        "movielens-100k, movielens-1m, amazon-luxury-beauty, amazon-digital-music",
    )
    format: Literal["auto", "csv", "tsv", "jsonl", "parquet"] = Field(
        "auto",
        description="file format; auto: from the ending of the file name (.gz may follow it, except for Parquet)",
    )
    header: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="column names, in order, of a CSV or TSV file without a header line; null: the file has one",
    )
    delimiter: str | None = Field(
        None,
        pattern=DELIMITER_PATTERN,
        description="character between the fields, in quotes, e.g. '|' or \"\\t\"; null: a comma, or a tab for TSV",
    )
    columns: ColumnsConfig = ColumnsConfig()
    feedback: Literal["explicit", "implicit"] = Field(
        "explicit", description="explicit: each row is a rating; implicit: each row is a positive interaction"
    )
    positive_rating: float = Field(4.0, description="lowest rating that counts as positive (explicit only)")
    user_id_type: Literal["auto", "integer", "text"] = Field(
        "auto",
        description="type of user ids; auto: integer if every id is one and loses nothing as a number, else text",
    )
    item_id_type: Literal["auto", "integer", "text"] = Field("auto", description="type of item ids, as for users")
    download: bool = Field(False, description="whether a named data set may be downloaded from its official site")
    sha256: str | None = Field(
        None, pattern=SHA256_PATTERN, description="expected SHA-256 of the file, or of a named data set's download"
    )

    _has_home = field_validator("uri")(with_home)

    @property
    def name(self) -> str:
        """Return the last part of ``uri``, the only part that is published; for ``.``, the name of that directory."""
        path = Path(self.uri).expanduser()
        return (path.resolve() if path.name in {"", ".."} else path).name or self.uri

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.feedback == "explicit" and self.columns.rating is None:
            raise ValueError("explicit feedback needs columns.rating; name the column, or set feedback to implicit")
        if _ELSEWHERE.search(self.uri) or re.search(CREDENTIALS_PATTERN, self.uri):
            raise ValueError(
                "uri must be a local file, a directory or a named data set, without credentials, because settings are "
                "stored and displayed. Download remote data, or export it from a database, to a local file first "
                "(a file name with a colon and an @ needs a path: ./name)"
            )
        return self


class FilterConfig(Section):
    """The k-core filter removes users and items below these limits, repeatedly, until all that remain reach them."""

    min_user_positives: int = Field(5, ge=1, description="positive interactions that a user must have, at least")
    min_item_positives: int = Field(5, ge=1, description="positive interactions that an item must have, at least")


class RolesConfig(Section):
    """Share of users in each role. A keyed hash of the user id decides, so a user keeps the role in every run."""

    train: Share = Field(0.7, description="users the model is trained on and whose statistics it is fitted to")
    validation: Share = Field(
        0.1, description="users for early stopping, the temperature and the settings of the judges, nothing else"
    )
    holdout: Share = Field(0.1, description="users the model never sees, for comparison by the privacy gates")
    evaluation: Share = Field(0.1, description="users the model never sees, on whom recommenders are tested (utility)")
    key_block: str | None = Field(
        None,
        min_length=1,
        description="name of the Prefect Secret block with the hash key; null: the environment variable SDRM_ROLE_KEY",
    )

    @property
    def shares(self) -> tuple[float, float, float, float]:
        """Return the shares in the order of ``sdrm_core.data.roles.Role``."""
        return self.train, self.validation, self.holdout, self.evaluation

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        if abs(sum(self.shares) - 1) > 1e-9:
            raise ValueError(
                f"train, validation, holdout and evaluation must add up to 1; they add up to {sum(self.shares):g}"
            )
        if min(self.shares) <= 0:
            raise ValueError("train, validation, holdout and evaluation must each be above 0")
        return self
