"""Generators of whole item vectors: one arm for any network that has a loss and can generate such vectors."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from sdrm_core.arms.arm import require_users
from sdrm_core.arms.blocks import activity_of, sample_in_blocks, users_of_mask
from sdrm_core.arms.storing import load_arm, save_arm
from sdrm_core.config import ArmName, PipelineConfig
from sdrm_core.data.users import batches
from sdrm_core.model.networks import initialise
from sdrm_core.model.training import OnEpoch, Progress, require_finite
from sdrm_core.model.weights import load_into
from sdrm_core.randomness import numpy_stream, torch_stream
from sdrm_core.threads import one_thread

_VALIDATION_BATCH_USERS = 512


class ItemVectorNetwork(nn.Module):
    """A network on binary (n_users, n_items) vectors; all its randomness comes from a generator argument."""

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.n_items = n_items

    def loss(self, held: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return the mean loss over the users of ``held`` (n_users, n_items), binary floats."""
        raise NotImplementedError

    def generate(self, counts: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return (n_users, n_items) bool items; ``counts`` (n_users,) items per user, which some networks ignore."""
        raise NotImplementedError


class Learn(Protocol):
    """Trains a network in place and freezes it."""

    def __call__(
        self,
        network: ItemVectorNetwork,
        train: csr_matrix,
        validation: csr_matrix,
        *,
        stage: str,
        seed: int,
        on_epoch: OnEpoch,
    ) -> None:
        """Train on (n_train, n_items), with early stopping by (n_validation, n_items); both binary."""
        ...


class Descent(NamedTuple):
    """Trains a network by gradient descent on its loss.

    Attributes:
        learning_rate: AdamW's.
        weight_decay: decoupled.
        batch_users: users per gradient step.
        max_epochs: maximum number of passes over the training users.
        max_steps: maximum number of gradient steps, rounded up to whole passes: with more users fewer passes are
            needed.
        patience_epochs: epochs without a lower validation loss before stopping.
    """

    learning_rate: float
    weight_decay: float
    batch_users: int
    max_epochs: int
    max_steps: int
    patience_epochs: int

    def __call__(
        self,
        network: ItemVectorNetwork,
        train: csr_matrix,
        validation: csr_matrix,
        *,
        stage: str,
        seed: int,
        on_epoch: OnEpoch,
    ) -> None:
        """Train with these settings."""
        device = device_of(network)
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        noise, shuffler = torch_stream(seed, stage, "noise", device=device), numpy_stream(seed, stage, "batches")
        user_batches = batches(train.shape[0], batch_users=self.batch_users, draw=shuffler)
        epoch_steps = -(-train.shape[0] // self.batch_users)
        max_epochs = min(self.max_epochs, -(-self.max_steps // epoch_steps))
        progress = Progress(
            network,
            stage=stage,
            max_epochs=max_epochs,
            patience_epochs=self.patience_epochs,
            higher_is_better=False,
            on_epoch=on_epoch,
        )
        for epoch in range(1, max_epochs + 1):
            losses = []
            network.train()
            for users in islice(user_batches, epoch_steps):
                loss = network.loss(dense(train[users], device=device), generator=noise)
                losses.append(descend(loss, optimizer, stage=stage, epoch=epoch))
            network.eval()
            if not progress.end_epoch(losses, validation=_validation_loss(network, validation, stage=stage, seed=seed)):
                break
        progress.restore_best()


def descend(loss: Tensor, optimizer: torch.optim.Optimizer, *, stage: str, epoch: int) -> float:
    """Take one gradient step and return the loss.

    Raises:
        TrainingError: the loss is not finite; the weights are not changed.
    """
    value = loss.item()
    require_finite(value, what=f"{stage}: the training loss", epoch=epoch)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return value


@torch.no_grad()
def _validation_loss(network: ItemVectorNetwork, validation: csr_matrix, *, stage: str, seed: int) -> float:
    """Return the mean loss of the validation users, with the same noise at every call."""
    device = device_of(network)
    generator = torch_stream(seed, stage, "validation", device=device)
    total = 0.0
    for start in range(0, validation.shape[0], _VALIDATION_BATCH_USERS):
        users = dense(validation[start : start + _VALIDATION_BATCH_USERS], device=device)
        total += len(users) * network.loss(users, generator=generator).item()
    return total / validation.shape[0]


def dense(user_items: csr_matrix, *, device: torch.device) -> Tensor:
    """Return a batch of users as a binary (n_users, n_items) float32 tensor."""
    return torch.from_numpy(user_items.toarray().astype(np.float32, copy=False)).to(device)


def dropped(features: Tensor, *, share: float, generator: torch.Generator) -> Tensor:
    """Apply dropout to ``features``, with randomness from the generator."""
    kept = torch.rand(features.shape, generator=generator, device=features.device) >= share
    return features * kept / (1 - share)


def gaussian(like: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return standard normal noise in the shape of ``like``."""
    return torch.randn(like.shape, generator=generator, device=like.device)


def device_of(network: nn.Module) -> torch.device:
    """Return the device of the weights."""
    return next(network.parameters()).device


@dataclass(frozen=True, eq=False)
class FittedItemVectors:
    """A trained network and the training users' numbers of items.

    Attributes:
        name: of the arm.
        network: frozen, in evaluation mode.
        activity: (n_train,) int64, sorted.
    """

    name: ArmName
    network: ItemVectorNetwork
    activity: np.ndarray

    @one_thread()
    @torch.no_grad()
    def sample(self, n_users: int, *, seed: int) -> csr_matrix:
        """Return (n_users, n_items) users."""
        device = device_of(self.network)

        def draw(counts: np.ndarray, generator: torch.Generator) -> csr_matrix:
            return users_of_mask(self.network.generate(torch.from_numpy(counts).to(device), generator=generator))

        return sample_in_blocks(
            draw,
            n_users,
            activity=self.activity,
            n_items=self.network.n_items,
            seed=seed,
            stream=self.name,
            device=device,
        )

    def save(self, folder: Path) -> None:
        """Write weights and activity."""
        arrays = {"activity": torch.from_numpy(self.activity)}
        weights = self.network.state_dict()
        save_arm(folder, self.name, arrays=arrays, network=weights, n_items=self.network.n_items)


@dataclass(frozen=True)
class ItemVectorArm:
    """An arm made of a network and its training.

    Attributes:
        name: of the arm.
        build: creates the network for a number of items; ``fit`` then draws its initial weights.
        learn: trains the network.
    """

    name: ArmName
    build: Callable[[int], ItemVectorNetwork]
    learn: Learn

    @property
    def family(self) -> str:
        """Return the arm's own name: it does not share its fit with other arms."""
        return self.name

    @one_thread()
    def fit(
        self,
        train: csr_matrix,
        validation: csr_matrix,
        *,
        config: PipelineConfig,
        device: torch.device,
        on_epoch: OnEpoch,
    ) -> FittedItemVectors:
        """Train the network."""
        require_users(train=train, validation=validation)
        network = self.build(train.shape[1])
        initialise(network, generator=torch_stream(config.seed, self.name, "weights"))
        network.to(device)
        self.learn(network, train, validation, stage=self.name, seed=config.seed, on_epoch=on_epoch)
        return FittedItemVectors(self.name, network, activity_of(train))

    def load(self, folder: Path, *, device: torch.device) -> FittedItemVectors:
        """Return what ``save`` wrote."""
        arrays, weights, about, path = load_arm(folder, self.name)
        network = self.build(about["n_items"])
        load_into(network, weights, path=path)
        return FittedItemVectors(self.name, network.to(device), arrays["activity"].numpy())
