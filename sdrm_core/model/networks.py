"""Helpers for all networks: seeded initial weights and a running average of weights."""

import torch
from torch import nn


def initialise(network: nn.Module, *, generator: torch.Generator) -> None:
    """Draw Xavier-uniform weights from ``generator`` and set biases to 0, independent of torch's global seed."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.EmbeddingBag):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
        if isinstance(layer, nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


@torch.no_grad()
def average_weights(average: nn.Module, network: nn.Module, *, decay: float) -> None:
    """Update the exponential moving average in place: ``average`` moves by ``1 - decay`` towards ``network``."""
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)
