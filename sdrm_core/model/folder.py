"""The files in a fitted model's folder; a file that was changed after it was written is refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sdrm_core.errors import ArtifactError
from sdrm_core.records import Artifact
from sdrm_core.storage import checked, read_sealed, sha256_of, write_artifact, write_sealed

DESCRIPTION = "model.json"
ITEMS = "items.parquet"
VAE = "vae.safetensors"
DIFFUSION = "diffusion.safetensors"
DRAW = "draw.safetensors"
_ITEM_COLUMN = "item_id"


def write_items(folder: Path, item_ids: pa.Array) -> Artifact:
    """Write the item ids of the source, in the order of the matrix columns."""
    table = pa.table({_ITEM_COLUMN: item_ids})
    return write_artifact(folder / ITEMS, lambda temporary: pq.write_table(table, temporary, compression="zstd"))


def load_item_ids(folder: Path) -> pa.Array:
    """Return the (n_items,) source ids of the model's columns, in the source's own type.

    Raises:
        ArtifactError: a file is missing or was changed.
    """
    column = pq.read_table(model_file(folder, ITEMS))[_ITEM_COLUMN]
    return column.combine_chunks()


def write_description(folder: Path, files: Sequence[Artifact], *, about: dict[str, Any]) -> Artifact:
    """Write ``model.json``: a description of the model, the digests of its files, and a digest of all of this."""
    body = {**about, "files": {file.path.name: file.sha256 for file in files}}
    return write_sealed(folder / DESCRIPTION, body)


def read_description(folder: Path) -> dict[str, Any]:
    """Return the description that ``write_description`` wrote.

    Raises:
        ArtifactError: the file is missing or was changed.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise ArtifactError(f"{folder} is not a model: it has no {DESCRIPTION}")
    try:
        return read_sealed(path)
    except ArtifactError as error:
        raise ArtifactError(f"{error}; train the model again") from None


def is_model(folder: Path, digest: str) -> bool:
    """Return whether the folder contains the model whose description has this digest."""
    path = folder / DESCRIPTION
    return path.is_file() and sha256_of(path) == digest


def model_file(folder: Path, name: str) -> Path:
    """Return the path of one of the model's files, after checking its digest.

    Raises:
        ArtifactError: the file is missing or was changed.
    """
    return checked(Artifact(path=folder / name, sha256=read_description(folder)["files"][name]))
