"""Roles: a partition for every seed, and a matter between a user and the key alone."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from sdrm_core.data.roles import Role, assign_roles, derive_key

from .strategies import integers, texts

IDS = st.one_of(st.lists(integers(), min_size=1, unique=True), st.lists(texts(), min_size=1, unique=True))
SEEDS = st.integers(0, 2**63 - 1)


@st.composite
def shares(draw):
    weights = draw(st.lists(st.integers(0, 5), min_size=4, max_size=4).filter(any))
    return tuple(weight / sum(weights) for weight in weights)


@given(ids=IDS, seed=SEEDS, shares=shares())
@settings(max_examples=150, deadline=None)
def test_every_user_has_one_role_and_only_a_role_with_a_share(ids, seed, shares):
    roles = assign_roles(pa.array(ids), key=derive_key(seed), shares=shares)
    assert len(roles) == len(ids)
    assert all(shares[Role(role)] > 0 for role in roles)


@given(data=st.data(), ids=IDS, seed=SEEDS)
@settings(max_examples=100, deadline=None)
def test_neither_order_nor_other_users_matter(data, ids, seed):
    key, parts = derive_key(seed), (0.4, 0.2, 0.2, 0.2)
    alone = [assign_roles(pa.array([identifier]), key=key, shares=parts)[0] for identifier in ids]
    order = data.draw(st.permutations(range(len(ids))))
    together = assign_roles(pa.array([ids[position] for position in order]), key=key, shares=parts)
    assert np.array_equal(together, np.array(alone)[list(order)])
