import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import coo_matrix, csr_array, csr_matrix

from sdrm_core.data.interactions import IndexedLog
from sdrm_core.data.matrix import canonical, to_user_items
from sdrm_core.errors import DataError


def test_positives_become_ones_and_the_rest_is_absent():
    log = IndexedLog(
        user=np.array([0, 0, 2], np.int32),
        item=np.array([0, 2, 1], np.int32),
        positive=np.array([True, False, True]),
        users=pa.array(["x", "y", "z"]),
        items=pa.array([7, 8, 9]),
        n_rows=3,
        n_repeated=0,
    )
    user_items = to_user_items(log)
    assert user_items.dtype == np.float32
    assert user_items.nnz == 2
    assert user_items.toarray().tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert canonical(user_items).toarray().tolist() == user_items.toarray().tolist()


# Row 0: unsorted and a duplicate of item 2; row 1: nothing but stored zeros; row 2: a duplicate that adds a zero.
VALUES = np.array([0.5, 2.0, 1.0, 0.0, 0.0, 0.0, 3.0])
COLUMNS = np.array([2, 0, 2, 1, 1, 1, 1])
STARTS = np.array([0, 3, 5, 7])
DENSE = [[1, 0, 1], [0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("kind", [csr_matrix, csr_array])
def test_any_representation_becomes_canonical(kind):
    messy = kind((VALUES, COLUMNS, STARTS), shape=(3, 3))
    for matrix in (messy, messy.tocsc(), messy.tocoo()):
        rows = canonical(matrix)
        assert isinstance(rows, csr_matrix)
        assert rows.toarray().tolist() == DENSE
        assert rows.indices.tolist() == [0, 2, 1]
        assert rows.data.tolist() == [1, 1, 1]
        assert rows.dtype == np.float32
    assert messy.data.tolist() == VALUES.tolist(), "the input stays as it was"


def test_an_empty_matrix_stays_empty():
    assert canonical(csr_matrix((0, 5))).shape == (0, 5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_what_cannot_be_a_positive_is_refused(value):
    cells = coo_matrix(([1.0, value, 3.0], ([0, 1, 1], [0, 2, 2])), shape=(2, 3))
    with pytest.raises(DataError, match=r"in 1 cells \(for example row 1, column 2: "):
        canonical(cells)
