import numpy as np
import pytest
from scipy.sparse import csr_matrix

from sdrm_core.quality.fidelity import measure_fidelity
from tasks.checkpoints import likeness


def test_density_is_that_of_what_may_be_published():
    rng = np.random.default_rng(0)
    users = csr_matrix((rng.random((60, 40)) < 0.2).astype(np.float32))
    report = measure_fidelity(
        users,
        train=users,
        holdout=users[:0],
        k_anonymity=1,
        seed=0,
        activity=np.diff(users.indptr) * 0.9,
    )
    facts = likeness(report.model_dump(mode="json"))
    assert facts == {"density_ratio": pytest.approx(1 / 0.9), "activity_ks": 0}
