"""Write synthetic users as Parquet block by block; the files do not depend on how the users are divided into blocks."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from sdrm_core.errors import SdrmError
from sdrm_core.records import Artifact
from sdrm_core.storage import checked, sha256_of, sync
from tasks.records import FileFacts

ROW_GROUP_ROWS = 1 << 17
PART_ROWS = 64 * ROW_GROUP_ROWS


def new_user_ids(n_users: int, generator: np.random.Generator) -> np.ndarray:
    """Return ``n_users`` ascending, distinct, random 63-bit ids.

    The ids are unrelated to real users and to the ids of other releases. With 63 bits, the chance that two releases of
    a million users share an id is below one in a million.
    """
    ids = np.unique(generator.integers(0, np.iinfo(np.int64).max, size=n_users, dtype=np.int64))
    while len(ids) < n_users:
        more = generator.integers(0, np.iinfo(np.int64).max, size=n_users - len(ids), dtype=np.int64)
        ids = np.unique(np.concatenate([ids, more]))
    return ids


def write_interactions(
    folder: Path, blocks: Iterable[csr_matrix], *, user_ids: np.ndarray, item_ids: pa.Array
) -> tuple[FileFacts, ...]:
    """Write ``folder/part-*.parquet`` with columns ``user_id, item_id``, sorted by user, then catalogue order.

    Args:
        folder: created by this call; paths in the result are relative to its parent.
        blocks: consecutive users as (n_block, n_items) binary matrices.
        user_ids: (n_users,) ascending int64, one for each row of the blocks, in order.
        item_ids: (n_items,) original ids of the items.
    """
    schema = pa.schema([pa.field("user_id", pa.int64(), nullable=False), pa.field("item_id", item_ids.type, False)])
    folder.mkdir(parents=True)
    parts = _PartWriter(folder, schema)
    for rows in _row_groups(_tables(blocks, user_ids, item_ids, schema)):
        parts.write(rows)
    facts = parts.close()
    sync(folder)
    return facts


def written_files(folder: Path, files: Iterable[Mapping[str, Any]]) -> list[Path]:
    """Return the paths of the files in ``folder`` that a manifest lists, after checking their digests.

    files: ``FileFacts`` as dictionaries.

    Raises:
        ArtifactError: a file is missing or changed. The message has no remedy; the caller adds one.
    """
    return [checked(Artifact(path=folder / file["path"], sha256=file["sha256"]), remedy="") for file in files]


def _tables(
    blocks: Iterable[csr_matrix], user_ids: np.ndarray, item_ids: pa.Array, schema: pa.Schema
) -> Iterator[pa.Table]:
    start = 0
    for block in blocks:
        ids = user_ids[start : start + block.shape[0]]
        start += block.shape[0]
        users = np.repeat(ids, np.diff(block.indptr))
        yield pa.Table.from_arrays([pa.array(users), item_ids.take(pa.array(block.indices))], schema=schema)
    if start != len(user_ids):
        raise SdrmError(f"{start} synthetic users were sampled, {len(user_ids)} were to be written")


def _row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows of all tables again, as tables of ``ROW_GROUP_ROWS`` rows; the last table may be shorter."""
    waiting: list[pa.Table] = []
    n_waiting = 0
    for table in tables:
        waiting.append(table)
        n_waiting += table.num_rows
        while n_waiting >= ROW_GROUP_ROWS:
            joined = pa.concat_tables(waiting)
            yield joined.slice(0, ROW_GROUP_ROWS)
            waiting = [joined.slice(ROW_GROUP_ROWS)]
            n_waiting -= ROW_GROUP_ROWS
    if n_waiting:
        yield pa.concat_tables(waiting)


class _PartWriter:
    """Write rows into Parquet files of at most ``PART_ROWS`` rows, one file after the other."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder, self._schema = folder, schema
        self._facts: list[FileFacts] = []
        self._rows = 0
        self._path, self._writer = self._open()

    def write(self, rows: pa.Table) -> None:
        if self._rows + rows.num_rows > PART_ROWS:
            self._finish()
            self._path, self._writer = self._open()
        self._writer.write_table(rows.combine_chunks())
        self._rows += rows.num_rows

    def close(self) -> tuple[FileFacts, ...]:
        self._finish()
        return tuple(self._facts)

    def _open(self) -> tuple[Path, pq.ParquetWriter]:
        path = self._folder / f"part-{len(self._facts):05d}.parquet"
        return path, pq.ParquetWriter(path, self._schema, compression="zstd")

    def _finish(self) -> None:
        self._writer.close()
        sync(self._path)
        self._facts.append(
            FileFacts(
                path=self._path.relative_to(self._folder.parent),
                sha256=sha256_of(self._path),
                rows=self._rows,
                bytes=self._path.stat().st_size,
            )
        )
        self._rows = 0
