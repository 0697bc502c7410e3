"""Read Parquet files: only the mapped columns, with text dictionary-encoded."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sdrm_core.config import SourceConfig
from sdrm_core.data.columns import is_text
from sdrm_core.data.raw import RawColumn, RawFile, find_columns
from sdrm_core.errors import Problem


def read_parquet(path: Path, source: SourceConfig) -> tuple[RawFile | None, list[Problem]]:
    """Return the mapped columns of a Parquet file, and what is wrong with the file.

    Raises:
        OSError: the file cannot be read now. Damaged content is not raised; it is returned as a problem.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            schema = file.schema_arrow
            positions, problems = find_columns(path, schema.names, source)
            names = [schema.names[position] for position in positions.values()]
            texts = [name for name in names if is_text(schema.field(name).type)]
        with pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=texts) as file:
            table = file.read(columns=names)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        return None, [_damaged(path, error)]
    columns = {
        role: RawColumn(name, table[name], is_untyped=False) for role, name in zip(positions, names, strict=True)
    }
    return RawFile(path, columns, locate=lambda row: f"row {row + 1:,}"), problems


def _damaged(path: Path, error: Exception) -> Problem:
    return Problem(
        where=str(path),
        what=f"the Parquet data is cut off or damaged: {str(error).splitlines()[0].rstrip('.')}",
        remedy="Fetch or write the file again.",
    )
