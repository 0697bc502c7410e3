"""The draw of items: which, how many, how likely, and what a temperature flattens."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import VaeConfig
from sdrm_core.data.matrix import item_popularity
from sdrm_core.model.draw import (
    ItemDraw,
    Offsets,
    reliance_on_few,
    stack_users,
    target_popularity,
)
from sdrm_core.model.vae import MultiVAE

N_ITEMS = 6
NEXT_TO_NONE = 0.001  # so that the likeliest items are drawn
FAR = 9.0 / NEXT_TO_NONE
LOG_WEIGHTS = torch.log(torch.tensor([5.0, 1.0, 3.0, 8.0, 1.0, 2.0]))
IN_COMMON = torch.log(torch.tensor([1.0, 6.0, 2.0, 1.0, 3.0, 4.0]))


def item_draw(publishable, *, temperature, usual_count=None):
    """A draw for users whose taste is LOG_WEIGHTS beside what all have IN_COMMON; at no temperature it is the taste."""
    vae = MultiVAE(N_ITEMS, config=VaeConfig(hidden_units=2, latent_dim=2)).requires_grad_(False)
    vae.output.weight.copy_(torch.stack([LOG_WEIGHTS, torch.zeros(N_ITEMS)], dim=1))
    vae.output.bias.copy_(IN_COMMON)
    return ItemDraw(vae, np.asarray(publishable), temperature=temperature, usual_count=usual_count)


def draw_users(draw, counts, *, offsets=None, seed=0):
    counts = np.asarray(counts)
    offsets = Offsets.none(len(draw.publishable), device=torch.device("cpu")) if offsets is None else offsets
    generator = torch.Generator().manual_seed(seed)
    return draw(torch.ones(len(counts), 2), counts=counts, offsets=offsets, generator=generator)


def shares_at(temperature):
    """Return the chance of each item to be a user's first: the temperature flattens taste alone."""
    return (LOG_WEIGHTS / temperature + IN_COMMON).softmax(0).numpy()


def pair_matrix(n_items, *pairs):
    matrix = np.zeros((n_items, n_items), dtype=np.float32)
    for first, second, offset in pairs:
        matrix[first, second] = matrix[second, first] = offset
    return csr_matrix(matrix)


def test_items_of_few_people_are_levelled_where_they_are_the_most():
    sparse = target_popularity(np.array([5, 9, 6, 8, 12]), k_anonymity=5)
    assert sparse == pytest.approx([7, 7, 7, 7, 12])
    dense = target_popularity(np.array([5, 9, 1000, 400]), k_anonymity=5)
    assert dense[:2] == pytest.approx([5, 9], rel=0.02)
    assert dense[0] > 5
    assert dense.sum() == pytest.approx(1414)
    assert dense[2:].tolist() == [1000, 400]
    assert target_popularity(np.array([10, 30]), k_anonymity=5).tolist() == [10, 30]


def test_data_relies_on_few_where_their_items_hold_a_third_of_it():
    assert reliance_on_few(np.array([5, 9, 6, 20, 20]), k_anonymity=5) == 1
    assert reliance_on_few(np.array([5, 95]), k_anonymity=5) == pytest.approx(0.15)
    assert reliance_on_few(np.array([10, 30]), k_anonymity=5) == 0


def test_at_next_to_no_temperature_the_likeliest_publishable_items_are_taken():
    users = draw_users(item_draw([0, 1, 2, 4, 5], temperature=NEXT_TO_NONE), [1, 2, 3])
    assert users.toarray().tolist() == [[1, 0, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0], [1, 0, 1, 0, 0, 1]]


def test_offsets_of_items_are_added_to_the_logits():
    offsets = Offsets(torch.tensor([0.0, FAR, 0.0, 0.0, 0.0]), pair_matrix(5))
    users = draw_users(item_draw([0, 1, 2, 4, 5], temperature=NEXT_TO_NONE), [1], offsets=offsets)
    assert users.indices.tolist() == [1]


def test_a_drawn_item_brings_the_items_it_pairs_with():
    offsets = Offsets(torch.zeros(5), pair_matrix(5, (0, 3, FAR), (1, 4, FAR)))  # items 0 and 4, items 1 and 5
    users = draw_users(item_draw([0, 1, 2, 4, 5], temperature=NEXT_TO_NONE), [1, 2, 3], offsets=offsets)
    assert users.toarray().tolist() == [[1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 1, 0], [1, 0, 1, 0, 1, 0]]


def test_each_drawn_item_brings_its_own_partner_in_turn():
    offsets = Offsets(torch.zeros(5), pair_matrix(5, (0, 3, FAR), (3, 1, FAR)))  # items 0 and 4, items 4 and 1
    users = draw_users(item_draw([0, 1, 2, 4, 5], temperature=NEXT_TO_NONE), [3], offsets=offsets)
    assert users.indices.tolist() == [0, 1, 4]
    assert offsets.n_pairs == 2


def test_pairs_that_move_nothing_change_no_user():
    counts = np.arange(1, N_ITEMS + 1)
    still = Offsets(torch.zeros(N_ITEMS), pair_matrix(N_ITEMS, (0, 1, 1e-30), (2, 5, 1e-30)))
    plain, by_parts = (draw_users(item_draw(range(N_ITEMS), temperature=1.0), counts, offsets=o) for o in (None, still))
    assert (plain != by_parts).nnz == 0


def test_offsets_come_back_from_their_tensors():
    offsets = Offsets(torch.tensor([0.5, -1.0, 2.0]), pair_matrix(3, (0, 2, 1.5)))
    again = Offsets.from_tensors(offsets.tensors(), device=torch.device("cpu"))
    assert torch.equal(again.items, offsets.items)
    assert (again.pairs != offsets.pairs).nnz == 0


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_at_temperature_1_a_single_item_is_drawn_from_the_models_own_distribution_else_from_a_sharper_or_flatter_one(
    temperature,
):
    users = draw_users(item_draw(range(N_ITEMS), temperature=temperature), np.ones(40_000, dtype=np.int64))
    shares = item_popularity(users) / 40_000
    assert shares == pytest.approx(shares_at(temperature), abs=0.01)


@pytest.mark.parametrize(("usual_count", "times"), [(1.0, 1), (2.0, 1 / 2), (0.5, 2), (100.0, 1 / 4), (0.01, 4)])
def test_who_has_twice_as_many_items_is_drawn_twice_as_randomly_up_to_four_times(usual_count, times):
    draw = item_draw(range(N_ITEMS), temperature=1.5, usual_count=usual_count)
    shares = item_popularity(draw_users(draw, np.ones(40_000, dtype=np.int64))) / 40_000
    assert shares == pytest.approx(shares_at(1.5 * times), abs=0.01)


def test_what_all_have_in_common_counts_the_same_at_any_temperature():
    draw = item_draw(range(N_ITEMS), temperature=3.0)
    common = Offsets(2 / 3 * LOG_WEIGHTS, pair_matrix(N_ITEMS))
    shares = item_popularity(draw_users(draw, np.ones(40_000, dtype=np.int64), offsets=common)) / 40_000
    assert shares == pytest.approx(shares_at(1.0), abs=0.01)  # a third of it by taste


def test_two_items_are_drawn_without_replacement_one_after_the_other():
    users = draw_users(item_draw(range(N_ITEMS), temperature=1.0), np.full(40_000, 2))
    p = shares_at(1.0).astype(np.float64)
    # P(j is one of two) = p_j + sum over first items i != j of p_i * p_j / (1 - p_i)
    expected = p + p * ((p / (1 - p)).sum() - p / (1 - p))
    assert item_popularity(users) / 40_000 == pytest.approx(expected, abs=0.01)


def test_counts_are_exact_and_only_publishable_items_occur():
    counts = np.array([4, 1, 2, 4, 3])
    users = draw_users(item_draw([0, 2, 3, 5], temperature=0.6), counts)
    assert np.array_equal(np.diff(users.indptr), counts)
    assert set(users.indices) <= {0, 2, 3, 5}
    assert users.has_canonical_format
    assert (users.data == 1).all()


def test_stacking_keeps_users_in_order_and_may_be_empty():
    parts = [draw_users(item_draw(range(N_ITEMS), temperature=1.0), [2, 3], seed=s) for s in range(2)]
    stacked = stack_users(parts, n_items=N_ITEMS)
    assert np.array_equal(stacked.toarray(), np.vstack([part.toarray() for part in parts]))
    assert stack_users([], n_items=N_ITEMS).shape == (0, N_ITEMS)
