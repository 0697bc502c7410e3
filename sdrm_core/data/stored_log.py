"""The interaction log on disk between two stages: one Parquet file, written by row group and read by column."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sdrm_core.data.columns import CHUNK_ROWS


def write_log(table: pa.Table, path: Path) -> None:
    """Write the table of ``read_interactions``, one row group at a time; dictionary-encoded ids become plain text."""
    schema = pa.schema([(field.name, _plain(field.type)) for field in table.schema])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, table.num_rows, CHUNK_ROWS):
            writer.write_table(table.slice(start, CHUNK_ROWS).cast(schema))


class StoredLog:
    """The columns of a file of ``write_log``. A column is read at each access and not kept in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.schema: pa.Schema = pq.read_schema(path)
        self.column_names: list[str] = self.schema.names

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        """Return a column: int64, float64 or plain string."""
        return pq.read_table(self._path, columns=[name])[name]


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
