"""From latents to items: only publishable ones, each at most once, as many as the user's activity says."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from sdrm_core.errors import TrainingError
from sdrm_core.model.vae import MultiVAE


def publishable_items(popularity: np.ndarray, *, k_anonymity: int) -> np.ndarray:
    """Return the columns, ascending, of items that at least ``k_anonymity`` training users have.

    Args:
        popularity: (n_items,) training users an item has.
        k_anonymity: users it must have.

    Raises:
        TrainingError: there is none.
    """
    publishable = np.flatnonzero(popularity >= k_anonymity)
    if not len(publishable):
        raise TrainingError(
            f"draw: no item may be published: privacy.k_anonymity asks for {k_anonymity} training users, "
            f"the most popular item has {int(popularity.max(initial=0))}. Lower it or use more data"
        )
    return publishable


def item_popularity(user_items: csr_matrix) -> np.ndarray:
    """Return (n_items,) numbers of users an item has."""
    popularity: np.ndarray = np.bincount(user_items.indices, minlength=user_items.shape[1])
    return popularity


class ItemDraw:
    """The decoder's last layer, cut down to the items that may be published, and the random draw behind it."""

    def __init__(self, vae: MultiVAE, publishable: np.ndarray, *, temperature: float) -> None:
        """Take ``publishable`` (n_publishable,) columns, ascending, and the randomness of the draw."""
        columns = torch.from_numpy(publishable).to(vae.device)
        self.publishable = publishable
        self.n_items = vae.n_items
        self._item_vectors = vae.output.weight.detach()[columns].T.contiguous()
        self._item_bias = vae.output.bias.detach()[columns]
        self._temperature = temperature

    def __call__(
        self, features: Tensor, *, counts: np.ndarray, margins: Tensor, generator: torch.Generator
    ) -> csr_matrix:
        """Draw ``counts`` different items for each user by Gumbel-top-k.

        Args:
            features: (n_users, hidden_units) of the decoder.
            counts: (n_users,) items to draw, at most the number of publishable ones.
            margins: (n_publishable,) offsets added to the items' logits.
            generator: on the features' device.

        Returns:
            (n_users, n_items) canonical binary matrix.

        Source: Kool, van Hoof and Welling 2019, "Stochastic Beams and Where to Find Them", section 2.3.
        """
        scores = torch.addmm(self._item_bias + margins, features, self._item_vectors)
        if self._temperature > 0:
            uniform = torch.rand(scores.shape, generator=generator, device=scores.device)
            scores -= self._temperature * uniform.log_().neg_().log_()
        n_drawn = torch.from_numpy(counts).to(scores.device)
        ranked = scores.topk(int(counts.max(initial=0)), dim=1).indices
        taken = torch.arange(ranked.shape[1], device=scores.device) < n_drawn.unsqueeze(1)
        columns = self.publishable[ranked[taken].cpu().numpy()]
        return _binary_matrix(columns, counts, n_items=self.n_items)


def _binary_matrix(columns: np.ndarray, counts: np.ndarray, *, n_items: int) -> csr_matrix:
    indptr = np.concatenate([[0], np.cumsum(counts)])
    ones = np.ones(len(columns), dtype=np.float32)
    user_items = csr_matrix((ones, columns, indptr), shape=(len(counts), n_items))
    user_items.sort_indices()
    return user_items


def stack_users(parts: Sequence[csr_matrix], *, n_items: int) -> csr_matrix:
    """Return the users of all parts, in order, as one (n_users, n_items) matrix."""
    counts = np.concatenate([np.zeros(0, dtype=np.int64), *(np.diff(part.indptr) for part in parts)])
    columns = np.concatenate([np.zeros(0, dtype=np.int32), *(part.indices for part in parts)])
    return _binary_matrix(columns, counts, n_items=n_items)
