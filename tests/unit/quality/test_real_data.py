from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from sdrm_core.config import UtilityConfig
from sdrm_core.quality.utility import measure_utility

DATA = Path(__file__).parents[4] / "shared" / "data" / "ml-100k-authors-splits.parquet"


@pytest.mark.real_data
@pytest.mark.skipif(not DATA.is_file(), reason=f"{DATA.name} is not beside the repository")
def test_judges_keep_their_order_on_movielens():
    """Real users beat independent items, by more the finer the structure a judge sees."""
    rows = pd.read_parquet(DATA).query("positive")
    users = (rows["split"].astype(str) + rows["user_id"].astype(str)).astype("category").cat.codes.to_numpy()
    user_items = csr_matrix((np.ones(len(rows), dtype=np.float32), (users, rows["item_id"].to_numpy())))
    user_items.sort_indices()
    shuffled = user_items[np.random.default_rng(0).permutation(938)]
    train, validation, evaluation = shuffled[:657], shuffled[657:751], shuffled[751:]
    report = measure_utility(
        train[::2],
        train=train,
        validation=validation,
        evaluation=evaluation,
        config=UtilityConfig(judges=("popularity", "svd", "ease"), fold_seeds=2, bootstrap_draws=200),
        seed=0,
    )
    real = [report.judges[judge]["real"]["recall@10"].mean.value for judge in ("popularity", "svd", "ease")]
    floor = [report.ratio(judge, "recall@10", arm="popularity_sampler") for judge in ("popularity", "svd")]
    assert real == sorted(real)
    assert floor[0] == pytest.approx(1, abs=0.15)
    assert floor[1] < 0.5
    assert 0.85 < report.ratio("svd", "recall@10") < 1.02
