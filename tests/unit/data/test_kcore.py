import numpy as np
import pyarrow as pa
import pytest

from sdrm_core.config import FilterConfig
from sdrm_core.data.interactions import IndexedLog
from sdrm_core.data.kcore import k_core
from sdrm_core.errors import DataError


def log_of(pairs):
    """Return a log of (user, item, is positive) with ids 100, 101 … and 'a', 'b' …"""
    user, item, positive = (np.array(column) for column in zip(*sorted(pairs), strict=True))
    users = pa.array(range(100, 101 + user.max()))
    items = pa.array([chr(ord("a") + code) for code in range(1 + item.max())])
    return IndexedLog(user.astype(np.int32), item.astype(np.int32), positive, users, items)


def limits(users, items):
    return FilterConfig(min_user_positives=users, min_item_positives=items)


def pairs(log):
    users, items = log.users.to_pylist(), log.items.to_pylist()
    return [(users[u], items[i], bool(p)) for u, i, p in zip(log.user, log.item, log.positive, strict=True)]


SQUARE = [(user, item, True) for user in (0, 1) for item in (0, 1)]


def test_removal_goes_on_until_nothing_is_left_to_remove():
    chain = [(2, 1, True), (2, 2, True), (3, 2, True), (3, 3, True), (4, 3, True)]  # falls item by user by item
    core = k_core(log_of(SQUARE + chain), limits(2, 2))
    assert pairs(core) == [(100, "a", True), (100, "b", True), (101, "a", True), (101, "b", True)]


def test_ratings_below_the_threshold_stay_on_survivors_only_and_do_not_count():
    log = log_of([*SQUARE, (2, 0, True), (2, 1, False), (0, 2, False), (1, 3, True), (2, 3, False)])
    core = k_core(log, limits(2, 1))
    assert pairs(core) == [(100, "a", True), (100, "b", True), (101, "a", True), (101, "b", True), (101, "d", True)]
    core = k_core(log, limits(1, 1))
    assert (core.n_pairs, core.counts.interactions, core.items.to_pylist()) == (8, 6, ["a", "b", "d"])


def test_codes_are_renumbered_without_gaps():
    core = k_core(log_of([(1, 1, True), (1, 3, True), (3, 1, True), (3, 3, True), (0, 0, True)]), limits(2, 2))
    assert core.user.tolist() == [0, 0, 1, 1]
    assert core.item.tolist() == [0, 1, 0, 1]
    assert (core.users.to_pylist(), core.items.to_pylist()) == ([101, 103], ["b", "d"])


@pytest.mark.parametrize(
    ("pairs", "limits", "what"),
    [
        (SQUARE, limits(3, 1), "in round 1 all 2 users left had fewer than 3 positives (the most was 2)"),
        (SQUARE, limits(1, 3), "in round 1 all 2 items left had fewer than 3 positives (the most was 2)"),
        (
            [(0, 0, True), (0, 1, True), (1, 1, True), (1, 2, True), (2, 2, True)],
            limits(2, 2),
            "in round 2 all 2 users left had fewer than 2 positives (the most was 1)",
        ),
        ([(0, 0, False), (1, 0, False)], limits(1, 1), "nothing is left: none of the 2 ratings is a positive"),
    ],
)
def test_an_empty_core_tells_the_step(pairs, limits, what):
    with pytest.raises(DataError) as error:
        k_core(log_of(pairs), limits)
    [problem] = error.value.problems
    assert what in problem.what
    assert "filter.min_user_positives" in problem.remedy
