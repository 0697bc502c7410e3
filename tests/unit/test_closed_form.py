import numpy as np
import pytest
from scipy.sparse import csr_matrix

from sdrm_core import closed_form
from sdrm_core.closed_form import ease_weights, item_gram


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ease_matches_its_formula(dtype):
    users = csr_matrix(np.array([[1, 1, 0], [1, 0, 1], [1, 1, 1]], np.float32))
    inverse = np.linalg.inv((users.T @ users).toarray() + 2.0 * np.eye(3))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(ease_weights(item_gram(users, dtype=dtype), penalty=2.0), expected, rtol=1e-5)


@pytest.mark.parametrize("block_cells", [1, 21, 1 << 22])
def test_blocks_change_no_bit_of_the_gram_matrix(monkeypatch, block_cells):
    draw = np.random.default_rng(0)
    users = csr_matrix(np.where(draw.random((40, 7)) < 0.4, np.sqrt(draw.random((40, 1))), 0))
    monkeypatch.setattr(closed_form, "_BLOCK_CELLS", block_cells)
    gram = item_gram(users, dtype=np.float64)
    np.testing.assert_array_equal(gram, (users.T @ users).toarray())
    assert gram.flags.f_contiguous
