"""What all networks share: seeded initial weights and a running average of the weights."""

import torch
from torch import nn


def initialise(network: nn.Module, *, generator: torch.Generator) -> None:
    """Set weights to Xavier-uniform draws of ``generator`` and biases to 0, whatever the global seed."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.EmbeddingBag):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
        if isinstance(layer, nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


@torch.no_grad()
def average_weights(average: nn.Module, network: nn.Module, *, decay: float) -> None:
    """Move ``average`` a share ``1 - decay`` of the way to ``network``, in place."""
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)
