import numpy as np
import pyarrow as pa

from sdrm_core.data.interactions import IndexedLog
from sdrm_core.data.matrix import to_user_items


def test_positives_become_ones_and_the_rest_is_absent():
    log = IndexedLog(
        user=np.array([0, 0, 2], np.int32),
        item=np.array([0, 2, 1], np.int32),
        positive=np.array([True, False, True]),
        users=pa.array(["x", "y", "z"]),
        items=pa.array([7, 8, 9]),
    )
    user_items = to_user_items(log)
    assert user_items.dtype == np.float32
    assert user_items.nnz == 2
    assert user_items.toarray().tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert user_items.has_canonical_format
    assert user_items.has_sorted_indices
