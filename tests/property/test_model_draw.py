"""Whatever the logits and counts, a draw is a canonical set of publishable items."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from sdrm_core.config import VaeConfig
from sdrm_core.model.draw import ItemDraw, Offsets
from sdrm_core.model.vae import MultiVAE


def neighbours(pair_offsets, n_publishable):
    """Each item pairs with the next one."""
    matrix = np.zeros((n_publishable, n_publishable), dtype=np.float32)
    for item, offset in enumerate(pair_offsets):
        matrix[item, item + 1] = matrix[item + 1, item] = offset
    return csr_matrix(matrix)


@st.composite
def draws(draw):
    n_items = draw(st.integers(1, 30))
    publishable = sorted(draw(st.sets(st.integers(0, n_items - 1), min_size=1)))
    counts = draw(st.lists(st.integers(1, len(publishable)), min_size=1, max_size=8))
    logits = draw(st.lists(st.floats(-1e4, 1e4, width=32), min_size=n_items, max_size=n_items))
    margins = draw(st.lists(st.floats(-20, 20, width=32), min_size=len(publishable), max_size=len(publishable)))
    pair_offsets = draw(st.lists(st.floats(0, 6, width=32), max_size=len(publishable) - 1))
    temperature = draw(st.sampled_from([0.05, 0.3, 1.0, 5.0]))
    return (
        n_items,
        np.array(publishable),
        np.array(counts),
        logits,
        Offsets(torch.tensor(margins), neighbours(pair_offsets, len(publishable))),
        temperature,
    )


@settings(max_examples=150, deadline=None)
@given(draws(), st.integers(0, 2**32))
def test_a_draw_has_exact_counts_no_duplicates_and_publishable_items_alone(case, seed):
    n_items, publishable, counts, logits, offsets, temperature = case
    vae = MultiVAE(n_items, config=VaeConfig(hidden_units=2, latent_dim=1)).requires_grad_(False)
    vae.output.bias.copy_(torch.tensor(logits))
    users = ItemDraw(vae, publishable, temperature=temperature)(
        torch.zeros(len(counts), vae.latent_dim),
        counts=counts,
        offsets=offsets,
        generator=torch.Generator().manual_seed(seed),
    )
    assert users.shape == (len(counts), n_items)
    assert users.has_canonical_format
    assert np.array_equal(np.diff(users.indptr), counts)
    assert np.isin(users.indices, publishable).all()
