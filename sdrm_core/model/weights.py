"""Weights as safetensors files, without pickle; the header describes the content."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from sdrm_core.config import VaeConfig
from sdrm_core.errors import ArtifactError
from sdrm_core.model.vae import MultiVAE
from sdrm_core.records import Artifact
from sdrm_core.storage import write_artifact

_HEADER = "sdrm"  # a single entry: safetensors writes several in arbitrary order, so the bytes would differ


def save_weights(path: Path, tensors: dict[str, Tensor], *, about: dict[str, Any]) -> Artifact:
    """Write tensors and a description in the header.

    Args:
        path: the file.
        tensors: by name.
        about: the description, JSON-compatible; the tensors' shapes are added under ``shapes``.
    """
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    header = {_HEADER: json.dumps({**about, "shapes": shapes}, sort_keys=True)}
    portable = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(portable, metadata=header)  # not written by safetensors: its error of a full disk is no OSError
    return write_artifact(path, lambda temporary: temporary.write_bytes(content))


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors, on the CPU, and the description.

    Raises:
        ArtifactError: the file is missing, damaged, or was not written by ``save_weights``.
    """
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; run the stage that writes it again")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[_HEADER])
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118 - not a dict
    except (SafetensorError, KeyError, ValueError) as error:
        raise ArtifactError(f"{path} does not hold weights as they are written here ({error})") from None


@contextmanager
def explained(path: Path, *, missing: str = "setting") -> Iterator[None]:
    """Replace the errors of reading the content of ``path`` by an error that says what to do.

    Args:
        path: the file.
        missing: what a missing key stands for, for the message.

    Raises:
        ArtifactError: something is missing, or a setting is unknown in this version.
    """
    try:
        yield
    except (KeyError, ValidationError) as error:
        what = f"no {missing} {error}" if isinstance(error, KeyError) else "settings this version does not know"
        message = f"{path} holds {what}: another version of the pipeline wrote it. Train the model again"
        raise ArtifactError(message) from None


def load_into(network: nn.Module, tensors: dict[str, Tensor], *, path: Path) -> None:
    """Load the tensors into a network and freeze it in evaluation mode.

    Raises:
        ArtifactError: names or shapes differ from the network's.
    """
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ArtifactError(f"{path} does not fit the configuration in its own header: {error}") from None
    network.eval().requires_grad_(False)


def require_catalogue(about: Mapping[str, Any], *, item_digest: str, path: Path) -> None:
    """Refuse weights trained on another item catalogue: with as many columns they would silently stand for other items.

    Args:
        about: the description in the weights' header.
        item_digest: digest of the item map that the weights are to be used with.
        path: the file of the weights.

    Raises:
        ArtifactError: the description has another digest, or none.
    """
    if about.get("item_digest") != item_digest:
        message = f"{path} is of another catalogue of items than the one it is used with. Train the model again"
        raise ArtifactError(message)


def save_vae(vae: MultiVAE, path: Path, *, item_digest: str) -> Artifact:
    """Write a VAE with its configuration and the digest of the item map of its columns."""
    about = {"kind": "vae", "n_items": vae.n_items, "config": vae.config.model_dump(), "item_digest": item_digest}
    return save_weights(path, vae.state_dict(), about=about)


def load_vae(path: Path, *, item_digest: str, device: torch.device | None = None) -> MultiVAE:
    """Return the VAE that ``save_vae`` wrote, frozen.

    Args:
        path: the file.
        item_digest: digest of the item map that the VAE is to be used with, as given to ``save_vae``.
        device: target device; None: the CPU.

    Raises:
        ArtifactError: the file is missing, damaged, of another catalogue, or contains something else.
    """
    tensors, about = load_weights(path)
    if about.get("kind") != "vae":
        raise ArtifactError(f"{path} holds {about.get('kind')!r}, not a VAE")
    with explained(path):
        vae = MultiVAE(about["n_items"], config=VaeConfig.model_validate(about["config"]))
    require_catalogue(about, item_digest=item_digest, path=path)
    load_into(vae, tensors, path=path)
    return vae.to(device or torch.device("cpu"))
