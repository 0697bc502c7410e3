"""The folder of a fitted arm: one file of tensors, and a description with its digest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sdrm_core.errors import ArtifactError
from sdrm_core.model.folder import model_file, read_description, write_description
from sdrm_core.model.weights import load_weights, save_weights

_TENSORS = "arm.safetensors"
_NETWORK = "network."


def save_arm(
    folder: Path, name: str, *, arrays: Mapping[str, Tensor], network: Mapping[str, Tensor] | None = None, **about: Any
) -> None:
    """Write a fitted arm.

    Args:
        folder: created if needed; an arm already there is replaced, its description last.
        name: of the arm.
        arrays: statistics by name.
        network: weights by name, if the arm has a network.
        **about: JSON-compatible values needed to build the arm again.
    """
    weights = {_NETWORK + key: tensor for key, tensor in (network or {}).items()}
    written = save_weights(folder / _TENSORS, {**arrays, **weights}, about={"kind": "arm", "arm": name})
    write_description(folder, [written], about={"arm": name, **about})


def load_arm(folder: Path, name: str) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any], Path]:
    """Return statistics, weights and description of a fitted arm, and the path of its tensors.

    Raises:
        ArtifactError: a file is missing, damaged, changed or of another arm.
    """
    about = read_description(folder)
    if about.get("arm") != name:
        raise ArtifactError(f"{folder} holds {about.get('arm')!r}; the arm {name!r} was expected. Fit it again")
    path = model_file(folder, _TENSORS)
    tensors, _ = load_weights(path)
    weights = {key.removeprefix(_NETWORK): tensor for key, tensor in tensors.items() if key.startswith(_NETWORK)}
    arrays = {key: tensor for key, tensor in tensors.items() if not key.startswith(_NETWORK)}
    return arrays, weights, about, path
