"""Named data sets: the official download address of each, the digests of its files, and how to read them.

Their terms forbid passing the data on, so the project contains none of them. A data set is downloaded from its official
address, and only if the configuration allows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sdrm_core.config import ColumnsConfig, SourceConfig
from sdrm_core.errors import ConfigError

EMBEDDED = "embedded"
_GROUPLENS = "https://files.grouplens.org/datasets/movielens"
_AMAZON = "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_v2/categoryFilesSmall"


@dataclass(frozen=True)
class NamedDataset:
    """One data set of the catalogue.

    Attributes:
        url: official download address.
        sha256: digest of the download.
        member: name of the file inside the ZIP archive; None if the download is the file itself.
        member_sha256: digest of that file.
        format: format of the file that is read.
        header: column names of that file, which has no header line.
        delimiter: separator of its fields; None means the usual one of the format.
        item_id_type: "text" if the item ids are codes that may look like numbers.
    """

    url: str
    sha256: str
    member: str | None
    member_sha256: str | None
    format: Literal["csv", "tsv"]
    header: tuple[str, ...]
    delimiter: str | None = None
    item_id_type: Literal["auto", "text"] = "auto"

    @property
    def file_name(self) -> str:
        """Return the name of the file that is read, without directories."""
        return (self.member or self.url).rsplit("/", 1)[-1]


_AMAZON_HEADER = ("item_id", "user_id", "rating", "timestamp")

CATALOGUE = {
    "movielens-100k": NamedDataset(
        url=f"{_GROUPLENS}/ml-100k.zip",
        sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        member="ml-100k/u.data",
        member_sha256="06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
        format="tsv",
        header=("user_id", "item_id", "rating", "timestamp"),
    ),
    "movielens-1m": NamedDataset(
        url=f"{_GROUPLENS}/ml-1m.zip",
        sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
        member="ml-1m/ratings.dat",
        member_sha256="506d64ca44484487c11dc2d9a28de5c54948213e6b96285e298afe28d6ea4e0f",
        format="csv",
        delimiter=":",  # the file separates fields by two colons, so every second field is empty
        header=("user_id", "", "item_id", "", "rating", "", "timestamp"),
    ),
    # The publisher of the Amazon reviews gives no digests; these are the ones that OmniRec (ISG Siegen) checks.
    "amazon-luxury-beauty": NamedDataset(
        url=f"{_AMAZON}/Luxury_Beauty.csv",
        sha256="5e1ab08a0147412d6a15ab4b8259df7fbc1fe09c747ba5c46486081ee4d68d24",
        member=None,
        member_sha256=None,
        format="csv",
        header=_AMAZON_HEADER,
        item_id_type="text",
    ),
    "amazon-digital-music": NamedDataset(
        url=f"{_AMAZON}/Digital_Music.csv",
        sha256="a73f1504ed58fdc3533a6817b4c89fc4f722eb46dc18f94a4566a4b171439c9c",
        member=None,
        member_sha256=None,
        format="csv",
        header=_AMAZON_HEADER,
        item_id_type="text",
    ),
}


def resolve(source: SourceConfig) -> SourceConfig:
    """Return the source with the reading settings of the embedded or named data set; a file source is not changed.

    The user still decides which interactions are positive (``feedback``, ``positive_rating``).

    Raises:
        ConfigError: a setting contradicts the published format of the named data set.
    """
    if source.uri == EMBEDDED:
        return source.model_copy(update={"columns": ColumnsConfig(timestamp="timestamp")})
    dataset = CATALOGUE.get(source.uri)
    if dataset is None:
        return source
    brought = {
        "format": dataset.format,
        "delimiter": dataset.delimiter,
        "header": dataset.header,
        "columns": ColumnsConfig(timestamp="timestamp"),
        "user_id_type": "auto",
        "item_id_type": dataset.item_id_type,
    }
    _require_no_other(source, brought)
    return source.model_copy(update=brought)


def _require_no_other(source: SourceConfig, brought: Mapping[str, Any]) -> None:
    """Raise a ``ConfigError`` if a setting is neither the default nor the data set's own (``brought``)."""
    plain, columns = SourceConfig(), source.columns
    if source.feedback == "implicit":  # ratings are not read, so the name of their column does not matter
        columns = columns.model_copy(update={"rating": plain.columns.rating})
    given = source.model_copy(update={"columns": columns})
    others = [name for name in brought if getattr(given, name) not in (getattr(plain, name), brought[name])]
    if others:
        names = ", ".join(f"source.{name}" for name in others)
        raise ConfigError(
            f"{names}: {source.uri} is read as its home writes it. Unset them, or name a file of your own"
        )
