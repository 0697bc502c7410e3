"""How the tests of this room write small logs and read them."""

from pathlib import Path

import pyarrow as pa
import pytest

from sdrm_core.config import ColumnsConfig, SourceConfig
from sdrm_core.data.readers import read_interactions
from sdrm_core.data.sources import locate
from sdrm_core.errors import DataError

REAL_DATA = Path(__file__).parents[3].parent / "shared" / "data"

HEADER = b"user_id,item_id,rating\n"
MISSING = ["NULL", "null", "NaN", "nan", "None", r"\N", "<NA>", " ", "\t", "\u00a0", "\u3000", " NULL "]


def real_data(name: str) -> Path:
    path = REAL_DATA / name
    if not path.is_file():
        pytest.skip(f"the real data set {name} is not at {REAL_DATA}")
    return path


def read(path: Path, **settings) -> pa.Table:
    source = SourceConfig(uri=str(path), **settings)
    return read_interactions(locate(source, cache=path.parent / "cache"), source)


def read_bytes(folder: Path, name: str, data: bytes, **settings) -> pa.Table:
    path = folder / name
    path.write_bytes(data)
    return read(path, **settings)


def refused(folder: Path, name: str, data: bytes, **settings) -> list[str]:
    """Return the problems for which a file is refused, without the folder's name."""
    with pytest.raises(DataError) as error:
        read_bytes(folder, name, data, **settings)
    return [str(problem).replace(f"{folder}/", "") for problem in error.value.problems]


def with_time(name: str = "time") -> ColumnsConfig:
    return ColumnsConfig(timestamp=name)
