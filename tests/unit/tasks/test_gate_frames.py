"""The tables of the gates, counted by hand."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from tasks.gates.frames import id_type, matrix_frame, raw_columns, synthetic_frame


def raw_csr(indptr: list[int], indices: list[int], *, n_items: int) -> csr_matrix:
    """A matrix as a faulty file may hold it: unsorted, with duplicates, with columns that do not exist."""
    matrix = csr_matrix((len(indptr) - 1, n_items), dtype=np.float32)
    matrix.indptr = np.array(indptr, dtype=np.int64)
    matrix.indices = np.array(indices, dtype=np.int32)
    matrix.data = np.ones(len(indices), dtype=np.float32)
    return matrix


def test_raw_columns_flag_the_second_row_of_a_pair():
    table = pa.table({"user_id": [1, 1, 2, 1], "item_id": ["a", "b", "a", "a"], "rating": [1.0, 2.0, 3.0, 4.0]})
    frame = pd.DataFrame(dict(raw_columns(table)))
    assert list(frame.columns) == ["user_id", "item_id", "rating", "is_repeated"]
    assert frame["is_repeated"].tolist() == [False, False, False, True]


def test_id_type_of_integers_and_of_anything_else():
    table = pa.table({"user_id": [1], "item_id": ["a"], "other": [1.5]})
    assert [id_type(table, name, wanted="auto") for name in table.column_names] == ["integer", "text", "text"]
    assert id_type(table, "user_id", wanted="text") == "text", "whatever it is"


def test_matrix_frame_of_three_users_and_four_items():
    (facts,) = matrix_frame(csr_matrix([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0]])).to_dict("records")
    assert facts == {
        "users": 3,
        "items": 4,
        "interactions": 6,
        "density": 0.5,
        "fewest_user_positives": 1,
        "fewest_item_positives": 0,
        "repeated_cells": 0,
    }


def test_matrix_frame_counts_cells_stored_twice_even_out_of_order():
    frame = matrix_frame(raw_csr([0, 3, 5], [2, 0, 2, 2, 1], n_items=3))
    assert frame["repeated_cells"].tolist() == [1]


def test_matrix_frame_of_nothing_is_a_row_of_zeros():
    (facts,) = matrix_frame(csr_matrix((0, 0))).to_dict("records")
    assert set(facts.values()) == {0}


def test_synthetic_frame_counts_what_each_user_must_not_have():
    # user 10: items 0, 1; user 11: item 2 twice; user 12: nothing; user 13: item 3, which is not publishable, and 9
    shard = raw_csr([0, 2, 4, 4, 6], [1, 0, 2, 2, 3, 9], n_items=4)
    frame = synthetic_frame(shard, first_user=10, publishable=np.array([True, True, True, False]))
    assert frame.to_dict("list") == {
        "user": [10, 11, 12, 13],
        "items": [2, 2, 0, 2],
        "repeated_items": [0, 1, 0, 0],
        "foreign_items": [0, 0, 0, 1],
        "unpublishable_items": [0, 0, 0, 1],
    }
    assert {str(dtype) for dtype in frame.dtypes} == {"int64"}


@pytest.mark.parametrize("item", [-1, 2])
def test_synthetic_frame_counts_an_item_just_outside_the_catalogue_as_foreign(item):
    frame = synthetic_frame(raw_csr([0, 1], [item], n_items=2), first_user=0, publishable=np.array([True, False]))
    assert frame["foreign_items"].tolist() == [1]
    assert frame["unpublishable_items"].tolist() == [0]


def test_missing_ids_and_texts_in_dictionaries_are_told_apart_from_each_other_and_from_the_first_and_last_id():
    users, items = [None, "b", None, "a", "a", "a"], ["x", None, "x", None, "y", None]
    table = pa.table({"user_id": pa.array(users).dictionary_encode(), "item_id": items})
    assert dict(raw_columns(table))["is_repeated"].tolist() == [False, False, True, False, False, True]
