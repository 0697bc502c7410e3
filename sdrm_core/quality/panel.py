"""The panel of judges: which name stands for which recommender, with its setting chosen on validation users."""

from functools import partial
from typing import Protocol

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.config import JudgeName
from sdrm_core.quality.folds import Fold
from sdrm_core.quality.judges import Judge, fit_popularity, fit_svd
from sdrm_core.quality.ranking import rank_users


class Fit(Protocol):
    """Fits a recommender to (n_users, n_items) interactions, whose users may be weighted."""

    def __call__(self, user_items: csr_matrix, *, user_weights: np.ndarray | None = None) -> Judge:
        """Return the fitted recommender."""


def prepare_judge(name: JudgeName, *, seed: int) -> Fit:
    """Return the fit of the named judge."""
    if name == "popularity":
        return fit_popularity
    return partial(fit_svd, seed=seed)


def rank_folds(judge: Judge, folds: list[Fold]) -> np.ndarray:
    """Return the (n_users, n_metrics) ranking metrics of each user, averaged over the folds."""
    per_fold = [rank_users(judge.score, inputs=fold.inputs, targets=fold.targets) for fold in folds]
    mean: np.ndarray = np.mean(per_fold, axis=0)
    return mean
