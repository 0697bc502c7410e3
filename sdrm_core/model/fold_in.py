"""How well a VAE predicts the hidden items of users; used for early stopping."""

import numpy as np
import torch
from scipy.sparse import csr_matrix

from sdrm_core.data.matrix import Fold, split_items
from sdrm_core.model.vae import ItemBags, MultiVAE, as_dense, hidden_log_probabilities, unit_weights

NDCG_CUTOFF = 100
INPUT_SHARE = 0.8
_BATCH_USERS = 512


def fold_in(user_items: csr_matrix, *, rng: np.random.Generator) -> Fold:
    """Divide each user's items at random, ``INPUT_SHARE`` of them as input; users with one item are left out."""
    user_items = user_items[np.diff(user_items.indptr) >= 2]
    return split_items(user_items, rng.random(user_items.nnz), input_share=INPUT_SHARE)


@torch.no_grad()
def fold_in_ndcg(vae: MultiVAE, users: Fold) -> float:
    """Return the mean binary ndcg@100 over the users (at least one), with the input items masked."""
    n_users = users.inputs.shape[0]
    cutoff = min(NDCG_CUTOFF, vae.n_items)
    discount = 1 / torch.log2(torch.arange(2, cutoff + 2, dtype=torch.float64, device=vae.device))
    ideal = torch.cat([discount.new_zeros(1), discount.cumsum(0)])
    total = 0.0
    for start in range(0, n_users, _BATCH_USERS):
        inputs = ItemBags.of(users.inputs[start : start + _BATCH_USERS], device=vae.device)
        targets = ItemBags.of(users.targets[start : start + _BATCH_USERS], device=vae.device)
        mean, _ = vae.encode(inputs)
        logits = vae.decode(mean).masked_fill(as_dense(inputs, n_items=vae.n_items) > 0, -torch.inf)
        hits = as_dense(targets, n_items=vae.n_items).gather(1, logits.topk(cutoff, dim=1).indices)
        total += float(((hits * discount).sum(dim=1) / ideal[targets.counts().clamp(max=cutoff)]).sum())
    return total / n_users


@torch.no_grad()
def fold_in_log_likelihood(vae: MultiVAE, users: Fold) -> float:
    """Return the mean log-likelihood, in nats, of a target item given the input items, of at least one user."""
    total, targets = 0.0, users.targets
    for start in range(0, targets.shape[0], _BATCH_USERS):
        batch = slice(start, start + _BATCH_USERS)
        divided = (users.inputs[batch] + 2 * targets[batch]).tocsr()
        bags, is_shown = ItemBags.of(divided, device=vae.device), torch.from_numpy(divided.data == 1).to(vae.device)
        mean, _ = vae.encode(bags, weights=unit_weights(bags, is_shown=is_shown))
        total += float(hidden_log_probabilities(vae.decode(mean), bags, is_shown=is_shown).sum(dtype=torch.float64))
    return total / targets.nnz
