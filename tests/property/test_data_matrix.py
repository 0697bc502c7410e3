"""The canonical form: the same cells whatever the representation, and nothing left to do the second time."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sdrm_core.data.matrix import canonical, to_user_items

from .strategies import indexed_logs, messy_matrices


def same(left, right):
    return all(
        np.array_equal(getattr(left, name), getattr(right, name)) for name in ("data", "indices", "indptr")
    ) and (left.shape == right.shape)


def is_canonical(matrix):
    rows = [matrix.indices[start:stop] for start, stop in zip(matrix.indptr, matrix.indptr[1:], strict=False)]
    return all((np.diff(row) > 0).all() for row in rows) and (matrix.data == 1).all() and matrix.dtype == np.float32


@given(matrix=messy_matrices(), kind=st.sampled_from(["csr", "csc", "coo"]))
@settings(max_examples=200, deadline=None)
def test_canonical_form_equals_the_dense_matrix(matrix, kind):
    dense = (matrix.toarray() > 0).astype(np.float32)
    rows = canonical(matrix.asformat(kind))
    assert is_canonical(rows)
    assert np.array_equal(rows.toarray(), dense)
    assert same(canonical(rows), rows)


@given(log=indexed_logs())
@settings(max_examples=100, deadline=None)
def test_the_matrix_of_a_log_is_canonical_already(log):
    rows = to_user_items(log)
    dense = np.zeros(rows.shape, dtype=np.float32)
    dense[log.user[log.positive], log.item[log.positive]] = 1
    assert is_canonical(rows)
    assert np.array_equal(rows.toarray(), dense)
    assert same(canonical(rows), rows)
