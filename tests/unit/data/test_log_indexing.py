import numpy as np
import pyarrow as pa

from sdrm_core.config import SourceConfig
from sdrm_core.data.interactions import index_interactions

EXPLICIT = SourceConfig()
IMPLICIT = SourceConfig(feedback="implicit")


def table(users, items, ratings=None, timestamps=None):
    columns = {"user_id": users, "item_id": items, "rating": ratings, "timestamp": timestamps}
    return pa.table({name: values for name, values in columns.items() if values is not None})


def pairs(log):
    users, items = log.users.to_pylist(), log.items.to_pylist()
    return [(users[u], items[i], bool(p)) for u, i, p in zip(log.user, log.item, log.positive, strict=True)]


def test_pairs_are_sorted_and_ids_ascend():
    log = index_interactions(table([30, 10, 30], ["b", "a", "a"], [5.0, 4.0, 3.9]), source=EXPLICIT)
    assert pairs(log) == [(10, "a", True), (30, "a", False), (30, "b", True)]
    assert (log.users.to_pylist(), log.items.to_pylist()) == ([10, 30], ["a", "b"])
    assert (log.user.dtype, log.item.dtype, log.positive.dtype) == (np.int32, np.int32, bool)
    assert log.counts.model_dump() == {"users": 2, "items": 2, "interactions": 2, "density": 0.5}


def test_text_ids_ascend_by_their_bytes():
    log = index_interactions(table(["b", "B", "🙂", "é", "10", "9"], ["x"] * 6, [5.0] * 6), source=EXPLICIT)
    assert log.users.to_pylist() == ["10", "9", "B", "b", "é", "🙂"]


def test_the_latest_rating_of_a_pair_counts():
    log = index_interactions(table([1, 1, 1, 2], [7, 7, 7, 7], [5.0, 1.0, 5.0, 5.0], [10, 30, 20, 0]), source=EXPLICIT)
    assert pairs(log) == [(1, 7, False), (2, 7, True)]


def test_of_equally_late_ratings_the_highest_counts():
    log = index_interactions(table([1, 1, 1], [7, 7, 7], [4.0, 2.0, 5.0], [30, 30, 10]), source=EXPLICIT)
    assert pairs(log) == [(1, 7, True)]


def test_without_time_stamps_the_highest_rating_counts():
    log = index_interactions(table([1, 1, 2, 2], [7, 7, 7, 7], [4.0, 2.0, 3.0, 1.0]), source=EXPLICIT)
    assert pairs(log) == [(1, 7, True), (2, 7, False)]


def test_repeated_events_count_once():
    log = index_interactions(table([1, 1, 2, 1], [7, 7, 7, 8]), source=IMPLICIT)
    assert pairs(log) == [(1, 7, True), (1, 8, True), (2, 7, True)]


def test_the_threshold_is_the_lowest_positive_rating():
    log = index_interactions(table([1, 2], [7, 7], [2.5, 2.49]), source=SourceConfig(positive_rating=2.5))
    assert pairs(log) == [(1, 7, True), (2, 7, False)]


def test_a_table_in_chunks_is_read_whole():
    parts = pa.concat_tables([table(["b"], [1], [5.0]), table(["a", "b"], [1, 1], [5.0, 1.0])])
    assert pairs(index_interactions(parts, source=EXPLICIT)) == [("a", 1, True), ("b", 1, True)]
