"""The canonical form: the same cells whatever the representation."""

import numpy as np
import pytest
from hypothesis import given, settings

from sdrm_core.data.matrix import to_user_items
from sdrm_core.errors import DataError
from sdrm_core.privacy.similarity import clean

from .strategies import indexed_logs, messy_matrices


def is_canonical(matrix):
    rows = [matrix.indices[start:stop] for start, stop in zip(matrix.indptr, matrix.indptr[1:], strict=False)]
    return all((np.diff(row) > 0).all() for row in rows) and (matrix.data == 1).all() and matrix.dtype == np.float32


@given(matrix=messy_matrices(values=(0.0, 0.0, 1.0)))
@settings(max_examples=200, deadline=None)
def test_users_to_be_compared_are_made_canonical_or_refused(matrix):
    dense, before = matrix.toarray(), matrix.data.copy()
    if not dense.size or not np.isin(dense, (0, 1)).all():
        with pytest.raises(DataError):
            clean(users=matrix)
        return
    (users,) = clean(users=matrix)
    assert is_canonical(users.astype(np.float32))
    assert np.array_equal(users.toarray(), dense)
    assert np.array_equal(matrix.data, before), "the input stays as it was"


@given(log=indexed_logs())
@settings(max_examples=100, deadline=None)
def test_the_matrix_of_a_log_is_canonical_already(log):
    rows = to_user_items(log)
    dense = np.zeros(rows.shape, dtype=np.float32)
    dense[log.user[log.positive], log.item[log.positive]] = 1
    assert is_canonical(rows)
    assert np.array_equal(rows.toarray(), dense)
