"""How useful synthetic users are for recommending: a figure for choosing settings, never one of a release.

*Onlookers* are users outside the model's training set, for whom is recommended in place of the evaluation users.
"""

from collections.abc import Callable, Sequence

from scipy.sparse import csr_matrix

from sdrm_core.config import UtilityConfig
from sdrm_core.quality.judges import fit_svd
from sdrm_core.quality.panel import rank_folds
from sdrm_core.quality.ranking import METRICS
from sdrm_core.quality.utility import make_folds
from sdrm_core.threads import one_blas_thread

_METRIC = METRICS.index("recall@10")


def usefulness_for(
    onlookers: Sequence[csr_matrix], *, config: UtilityConfig, seed: int
) -> Callable[[Sequence[csr_matrix]], float]:
    """Return a function that measures how well recommenders trained on synthetic users serve the onlookers.

    Args:
        onlookers: for each model, (n_onlookers, n_items) users it was not trained on.
        config: folds and limits.
        seed: of the run.

    Returns:
        A function of the synthetic users (n_users, n_items) of each model. It returns the recall@10 of the SVD judge,
        summed over the onlookers of all models; 0 if none of them has five items.
    """
    folds = [make_folds(users, config=config, seed=seed) for users in onlookers]

    def usefulness_of(synthetic: Sequence[csr_matrix]) -> float:
        with one_blas_thread():  # the number of threads must not change which setting is better
            served = [rank_folds(fit_svd(users, seed=seed), fold) for users, fold in zip(synthetic, folds, strict=True)]
        return float(sum(metrics[:, _METRIC].sum() for metrics in served))

    return usefulness_of
