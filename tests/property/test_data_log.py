"""The log: neither the order nor the chunks of its rows matter, and the right row of a pair counts."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sdrm_core.config import FilterConfig, SourceConfig
from sdrm_core.data.interactions import index_interactions
from sdrm_core.data.kcore import k_core
from sdrm_core.data.matrix import to_user_items
from sdrm_core.errors import DataError

from .strategies import indexed_logs, rating_rows, tables


def as_dict(log):
    users, items = log.users.to_pylist(), log.items.to_pylist()
    return {(users[u], items[i]): bool(p) for u, i, p in zip(log.user, log.item, log.positive, strict=True)}


@given(data=st.data(), rows=rating_rows(), has_time=st.booleans(), feedback=st.sampled_from(["explicit", "implicit"]))
@settings(max_examples=150, deadline=None)
def test_the_row_that_counts_is_the_latest_then_the_highest_in_any_order(data, rows, has_time, feedback):
    table = data.draw(tables(rows))
    if not has_time:
        table = table.drop_columns("timestamp")
    log = index_interactions(table, source=SourceConfig(feedback=feedback))
    expected = {}
    for user, item, rating, _ in sorted(rows, key=lambda row: (row[3] if has_time else 0, row[2])):
        expected[user, f"i{item}"] = feedback == "implicit" or rating >= 4
    assert as_dict(log) == expected
    assert list(as_dict(log)) == sorted(expected), "sorted by user, then item"
    assert log.n_pairs == len(expected)
    assert to_user_items(log).nnz == sum(expected.values()) == log.counts.interactions


def brute_force_core(log, limits):
    """Take away one user or item at a time until all have enough."""
    positives = {pair for pair, positive in as_dict(log).items() if positive}
    while True:
        users, items = ([pair[side] for pair in positives] for side in (0, 1))
        poor = [(0, user) for user in users if users.count(user) < limits.min_user_positives]
        poor += [(1, item) for item in items if items.count(item) < limits.min_item_positives]
        if not poor:
            return positives
        side, identifier = poor[-1]
        positives = {pair for pair in positives if pair[side] != identifier}


@given(log=indexed_logs(), users=st.integers(1, 4), items=st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_the_core_is_the_largest_set_that_meets_the_limits(log, users, items):
    limits = FilterConfig(min_user_positives=users, min_item_positives=items)
    expected = brute_force_core(log, limits)
    try:
        core = k_core(log, limits)
    except DataError:
        assert not expected
        return
    kept = as_dict(core)
    assert {pair for pair, positive in kept.items() if positive} == expected
    survivors = {user for user, _ in expected}, {item for _, item in expected}
    assert (set(core.users.to_pylist()), set(core.items.to_pylist())) == survivors
    assert kept == {pair: p for pair, p in as_dict(log).items() if pair[0] in survivors[0] and pair[1] in survivors[1]}
    assert as_dict(k_core(core, limits)) == kept, "nothing is left to remove"
