"""Shrinking the decoder's item vectors: what was learned of an item from few people counts less, since it is theirs."""

import copy

import numpy as np
import torch
from torch import Tensor

from sdrm_core.model.vae import MultiVAE


def shrink_rare_items(vae: MultiVAE, popularity: np.ndarray, *, half_at: float) -> MultiVAE:
    """Return a copy whose decoder scales each item's vector by n / (n + half_at), for n training users of the item.

    Args:
        vae: trained.
        popularity: (n_items,) number of training users that have an item.
        half_at: number of training users at which the vector is halved; 0: no scaling.
    """
    kept = torch.from_numpy(popularity / np.maximum(popularity + half_at, 1))
    return _with_item_vectors(vae, vae.output.weight.data * kept.to(vae.output.weight).unsqueeze(1))


def shrink_by_direction(vae: MultiVAE, popularity: np.ndarray, *, latent_factor: Tensor, doubt: float) -> MultiVAE:
    """Return a copy whose decoder scales each item's vector by v / (v + doubt / n) in each direction of the latents.

    Here v is the variance of the logits along the direction, and n the number of training users of the item. That is
    the posterior mean of a coordinate whose prior has variance v and whose estimate has an error variance of doubt / n:
    popular items keep all directions, rare items only those in which items differ most.

    Args:
        vae: trained, with a linear decoder.
        popularity: (n_items,) number of training users that have an item.
        latent_factor: (latent_dim, latent_dim) lower triangular factor of the latents' covariance.
        doubt: above 0.
    """
    n_users = torch.from_numpy(popularity).to(latent_factor.device, torch.float64).unsqueeze(1)
    share, factor = n_users / n_users.sum(), latent_factor.double()
    vectors = vae.output.weight.data.double() @ factor  # on latents of covariance 1
    centred = vectors - (share * vectors).sum(dim=0)  # what all items have in common changes no draw
    variance, directions = torch.linalg.eigh(centred.T @ (share * centred))
    variance = variance.clamp(min=0)  # rounding may make it negative
    kept = variance / (variance + doubt / n_users.clamp(min=1))
    shrunk = (vectors @ directions * kept) @ directions.T
    return _with_item_vectors(vae, torch.linalg.solve_triangular(factor, shrunk, upper=False, left=False))


def _with_item_vectors(vae: MultiVAE, vectors: Tensor) -> MultiVAE:
    unchanged = {id(module): module for module in vae.children() if module is not vae.output}
    copied = copy.deepcopy(vae, unchanged)  # shares these: with many items the encoder is large
    copied.output.weight.data = vectors.to(vae.output.weight)
    return copied
