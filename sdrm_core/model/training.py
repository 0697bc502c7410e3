"""Shared by the training loops: epoch reports, the best weights so far, and a gradient step that checks its loss."""

import copy
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sdrm_core.errors import TrainingError
from sdrm_core.model.devices import Workers
from sdrm_core.records import Record


class EpochReport(Record):
    """One epoch of one stage, for progress displays and training curves.

    Attributes:
        stage: ``vae``, ``diffusion``, ``margins``, ``pairs`` or ``refining``; arms from the literature have their own.
        epoch: from 1.
        of_epochs: maximum number of epochs; early stopping may end sooner.
        loss: mean training loss of the epoch.
        validation: log-likelihood of hidden items for the VAE, ndcg@100 for a VAE that reconstructs its input (higher
            is better); denoising loss for the diffusion, total-variation distance of item popularity for the offsets,
            and the own losses of other arms (lower is better).
        best: best ``validation`` so far.
    """

    stage: str
    epoch: int
    of_epochs: int
    loss: float
    validation: float
    best: float


OnEpoch = Callable[[EpochReport], None]


def batch_pieces(device: torch.device) -> int:
    """Return the number of parts into which a batch is divided for parallel computation.

    More than two would use more cores, but each part adds work. A GPU needs only one.
    """
    return 2 if device.type == "cpu" else 1


class Progress:
    """Collects a stage's reports, keeps the weights of the best epoch, and decides early stopping."""

    def __init__(
        self,
        network: nn.Module,
        *,
        stage: str,
        max_epochs: int,
        patience_epochs: int,
        higher_is_better: bool,
        on_epoch: OnEpoch,
    ) -> None:
        self._network = network
        self._stage = stage
        self._max_epochs = max_epochs
        self._patience_epochs = patience_epochs
        self._sign = 1 if higher_is_better else -1
        self._on_epoch = on_epoch
        self._best_epoch = 0
        self._best = -self._sign * math.inf
        self._weights: dict[str, Tensor] = {}
        self.reports: list[EpochReport] = []

    def start(self, *, validation: float) -> None:
        """Record the untrained weights as the best so far."""
        self._best, self._weights = validation, copy.deepcopy(self._network.state_dict())

    def end_epoch(self, losses: Sequence[float], *, validation: float) -> bool:
        """Record an epoch and keep its weights if it is the best so far; return whether to continue.

        Raises:
            TrainingError: ``validation`` is not finite.
        """
        epoch = len(self.reports) + 1
        require_finite(validation, what=f"{self._stage}: the validation result", epoch=epoch)
        if self._sign * (validation - self._best) > 0:
            self._best, self._best_epoch = validation, epoch
            self._weights = copy.deepcopy(self._network.state_dict())
        report = EpochReport(
            stage=self._stage,
            epoch=epoch,
            of_epochs=self._max_epochs,
            loss=float(np.mean(losses)),
            validation=validation,
            best=self._best,
        )
        self.reports.append(report)
        self._on_epoch(report)
        return epoch - self._best_epoch < self._patience_epochs

    def restore_best(self) -> None:
        """Load the weights of the best epoch into the network and freeze it in evaluation mode."""
        self._network.load_state_dict(self._weights)
        self._network.eval().requires_grad_(False)


def gradient_step(
    pieces: Sequence[Callable[[], Tensor]],
    optimizer: torch.optim.Optimizer,
    *,
    workers: Workers,
    stage: str,
    epoch: int,
) -> float:
    """Take one gradient step and return the loss.

    Args:
        pieces: each computes its part of the batch's loss; the loss is their sum.
        optimizer: of all the network's parameters.
        workers: share the pieces; gradients are added in the order of the pieces.
        stage: for the error message.
        epoch: for the error message.

    Raises:
        TrainingError: the loss is not finite; the weights are not changed.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def loss_and_gradients(number: int) -> tuple[float, tuple[Tensor, ...]]:
        loss = pieces[number]()
        return loss.item(), torch.autograd.grad(loss, parameters)

    losses, gradients = zip(*workers.map(loss_and_gradients, range(len(pieces))), strict=True)
    value: float = sum(losses)
    require_finite(value, what=f"{stage}: the training loss", epoch=epoch)
    for parameter, *shares in zip(parameters, *gradients, strict=True):
        parameter.grad = sum(shares[1:], start=shares[0])
    optimizer.step()
    return value


def require_finite(value: float, *, what: str, epoch: int) -> None:
    """Raise ``TrainingError`` if ``value`` is NaN or infinite."""
    if not math.isfinite(value):
        raise TrainingError(
            f"{what} is {value} in epoch {epoch}; it must be finite. "
            "Lower the stage's learning_rate, or look for a damaged input"
        )
