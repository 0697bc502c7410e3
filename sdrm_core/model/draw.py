"""From latents to items: only publishable items, each at most once per user, as many as the user's activity gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from sdrm_core.data.matrix import binary_matrix
from sdrm_core.model.selection import best_items
from sdrm_core.model.stratified import stratified_uniform
from sdrm_core.model.vae import MultiVAE

FEW = 2  # items of fewer than FEW * k_anonymity training users count as rare
_SPARSE = 3  # data are fully sparse if rare items hold one third of the interactions
_MOST_TIMES = 4  # a user's temperature is a fourth to four times the given one


def reliance_on_few(popularity: np.ndarray, *, k_anonymity: int) -> float:
    """Return a number in [0, 1]: how much of the data consists of rare items.

    Each single user has much influence on these. 1 if items of fewer than ``FEW * k_anonymity`` training users hold a
    third or more of all interactions.

    Args:
        popularity: (n_publishable,) number of training users that have an item.
        k_anonymity: number of training users that an item must have to be published.
    """
    of_few = popularity[popularity < FEW * k_anonymity]
    return min(1.0, _SPARSE * float(of_few.sum() / popularity.sum()))


def target_popularity(popularity: np.ndarray, *, k_anonymity: int) -> np.ndarray:
    """Return the popularity that synthetic users should have: that of the training users, with rare items levelled.

    If all rare items of one user were a little more popular, that would expose the user. So the popularities of rare
    items are moved towards each other with their sum unchanged; more so, the more the data relies on rare items
    (``reliance_on_few``).

    Args:
        popularity: (n_publishable,) number of training users that have an item.
        k_anonymity: number of training users that an item must have to be published.
    """
    published = popularity.astype(np.float64)
    is_rare = popularity < FEW * k_anonymity
    levelled = published[is_rare] ** (1 - reliance_on_few(popularity, k_anonymity=k_anonymity))
    published[is_rare] = levelled * (published[is_rare].sum() / max(levelled.sum(), 1))
    return published


@dataclass(frozen=True, eq=False)
class Offsets:
    """Values that are added to the items' logits in the draw; the temperature does not scale them.

    Attributes:
        items: (n_publishable,) offset of each item.
        pairs: (n_publishable, n_publishable) symmetric; row i is added to the logits once item i is drawn.
    """

    TENSORS: ClassVar = ("margins", "pair_starts", "pair_items", "pair_offsets")
    items: Tensor
    pairs: csr_matrix

    @classmethod
    def none(cls, n_publishable: int, *, device: torch.device) -> Self:
        """Return offsets of zero."""
        no_pairs = binary_matrix(np.zeros(0, np.int32), np.zeros(n_publishable, np.int64), n_items=n_publishable)
        return cls(torch.zeros(n_publishable, device=device), no_pairs)

    @property
    def n_pairs(self) -> int:
        """Return the number of pairs with an offset."""
        return self.pairs.nnz // 2

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors to store, by the names in ``TENSORS``."""
        parts = (self.pairs.indptr, self.pairs.indices, self.pairs.data)
        return dict(zip(self.TENSORS, (self.items, *map(torch.from_numpy, parts)), strict=True))

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], *, device: torch.device) -> Self:
        """Return the offsets that ``tensors()`` was called on."""
        items, indptr, indices, values = (tensors[name] for name in cls.TENSORS)
        pairs = csr_matrix((values.numpy(), indices.numpy(), indptr.numpy()), shape=(len(items), len(items)))
        return cls(items.to(device), pairs)


class ItemDraw:
    """The decoder's last layer, reduced to the publishable items, and the random draw from its logits."""

    def __init__(
        self, vae: MultiVAE, publishable: np.ndarray, *, temperature: float, usual_count: float | None = None
    ) -> None:
        """Store what does not depend on the users.

        Args:
            vae: trained.
            publishable: (n_publishable,) columns, ascending.
            temperature: above 0; higher makes the draw more random: the user's features are divided by it.
            usual_count: number of items for which ``temperature`` holds exactly. A user's temperature is proportional
                to the user's number of items, from a fourth of ``temperature`` to four times: with more items, each
                item reveals more of the training data. None: the same temperature for all users.
        """
        columns = torch.from_numpy(publishable).to(vae.device)
        self.publishable = publishable
        self.n_items = vae.n_items
        self._item_vectors = vae.output.weight.detach()[columns].T.contiguous()
        self._item_bias = vae.output.bias.detach()[columns]
        self._temperature = temperature
        self._usual_count = usual_count

    def __call__(
        self, features: Tensor, *, counts: np.ndarray, offsets: Offsets, generator: torch.Generator
    ) -> csr_matrix:
        """Draw ``counts`` different items for each user by Gumbel-top-k.

        With pair offsets a user's items are drawn in four parts, each conditioned on the parts before. The noise is
        independent over the items of a user and stratified over the users of an item: item popularity varies less
        between seeds, while each single user is distributed as without stratification.

        Args:
            features: (n_users, latent_dim or decoder_units) from ``MultiVAE.decoder_features``.
            counts: (n_users,) items to draw, at most the number of publishable items.
            offsets: added to the items' logits.
            generator: on the features' device.

        Returns:
            (n_users, n_items) canonical binary matrix.

        Source: Kool, van Hoof and Welling 2019, "Stochastic Beams and Where to Find Them", section 2.3.
        """
        temperatures = torch.from_numpy(self._temperatures(counts).astype(np.float32)).to(features.device)
        tastes = features / temperatures.unsqueeze(1)
        scores = torch.addmm(self._item_bias + offsets.items, tastes, self._item_vectors)
        scores -= stratified_uniform(scores.shape, generator).log_().neg_().log_()
        drawn = best_items(scores, counts, pairs=offsets.pairs)
        columns = self.publishable[drawn.indices]  # ascending, as they were
        return csr_matrix((drawn.data, columns, drawn.indptr), shape=(len(counts), self.n_items))

    def _temperatures(self, counts: np.ndarray) -> np.ndarray:
        if self._usual_count is None:
            return np.full(len(counts), self._temperature)
        times = np.clip(counts / self._usual_count, 1 / _MOST_TIMES, _MOST_TIMES)
        return np.asarray(self._temperature * times)


def stack_users(parts: Sequence[csr_matrix], *, n_items: int) -> csr_matrix:
    """Return the users of all parts, in order, as one (n_users, n_items) matrix."""
    counts = np.concatenate([np.zeros(0, dtype=np.int64), *(np.diff(part.indptr) for part in parts)])
    columns = np.concatenate([np.zeros(0, dtype=np.int32), *(part.indices for part in parts)])
    return binary_matrix(columns, counts, n_items=n_items)
