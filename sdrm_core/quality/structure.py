"""Figures of the joint structure: co-occurrence of items, and a classifier that separates two sets of users."""

import numpy as np
from scipy.sparse import csr_matrix, triu, vstack
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from threadpoolctl import threadpool_limits

from sdrm_core.data.matrix import item_popularity
from sdrm_core.data.users import some_users
from sdrm_core.quality.judges import fit_svd
from sdrm_core.quality.marginals import correlation
from sdrm_core.randomness import numpy_stream, stream_seed
from sdrm_core.threads import one_blas_thread

_MIN_PAIR_USERS = 5
_MAX_PAIR_ITEMS = 3000  # the most popular ones; limits the items × items product
_MAX_PAIR_USERS = 20_000
_MAX_CLASSIFIED_USERS = 2000
_MIN_CLASSIFIED_USERS = 20
_CLASSIFIER_FOLDS = 5


class CooccurrenceReference:
    """The reference's item pairs with at least five users, computed once for several candidates.

    For large data a random subset of the users and the most popular items are used.
    """

    def __init__(self, reference: csr_matrix, *, seed: int) -> None:
        popularity = item_popularity(reference)
        self._seed = seed
        self._items = np.sort(np.argsort(-popularity, kind="stable")[:_MAX_PAIR_ITEMS])
        product = self._co_counts(reference)
        pairs = triu(product, k=1, format="coo")
        is_kept = pairs.data >= _MIN_PAIR_USERS
        self._rows, self._columns = pairs.row[is_kept], pairs.col[is_kept]
        self._cosines = self._pair_cosines(product)

    def correlation_with(self, candidate: csr_matrix) -> float | None:
        """Return the correlation of the pairs' cosines in ``candidate`` (n_users, n_items) with the reference's."""
        return correlation(self._pair_cosines(self._co_counts(candidate)), self._cosines)

    def _co_counts(self, user_items: csr_matrix) -> csr_matrix:
        counted = some_users(user_items, _MAX_PAIR_USERS, draw=numpy_stream(self._seed, "co-occurrence"))
        selected = counted[:, self._items].astype(np.float32, copy=False)  # sums of booleans or small integers overflow
        return csr_matrix(selected.T @ selected)

    def _pair_cosines(self, co_counts: csr_matrix) -> np.ndarray:
        if not len(self._rows):  # SciPy cannot index with empty arrays
            return np.zeros(0)
        norms = np.sqrt(co_counts.diagonal())
        scale = norms[self._rows] * norms[self._columns]
        together = np.asarray(co_counts[self._rows, self._columns]).ravel()
        cosines: np.ndarray = np.divide(together, scale, out=np.zeros(len(scale)), where=scale > 0)
        return cosines


def classifier_auc(candidate: csr_matrix, reference: csr_matrix, *, seed: int) -> float | None:
    """Return how well gradient-boosted trees separate candidates from reference users: 0.5 not at all, 1 perfectly.

    A user's features are the activity, the mean log popularity of the user's items, and SVD factors. Popularity and
    factors are computed on both sets together, so that they fit neither set better. The AUC is measured by five-fold
    cross-validation on equally many users of both sets, at most 2,000 each.

    Args:
        candidate: (n_candidate, n_items).
        reference: (n_reference, n_items).
        seed: seed of the user subsets and of the classifier.

    Returns:
        The area under the ROC curve; None with fewer than 20 users on either side.
    """
    n_users = min(_MAX_CLASSIFIED_USERS, candidate.shape[0], reference.shape[0])
    if n_users < _MIN_CLASSIFIED_USERS:
        return None
    draw = numpy_stream(seed, "classifier-users")
    both = csr_matrix(vstack([some_users(users, n_users, draw=draw) for users in (candidate, reference)]))
    features = _user_features(both, seed=seed)
    is_candidate = np.repeat([1, 0], n_users)
    random_state = stream_seed(seed, "classifier") % (1 << 32)
    classifier = HistGradientBoostingClassifier(max_leaf_nodes=15, early_stopping=False, random_state=random_state)
    folds = StratifiedKFold(_CLASSIFIER_FOLDS, shuffle=True, random_state=random_state)
    # One thread: sums over several threads differ in the last bit, and waiting threads slow down a busy machine. The
    # OpenMP limit applies only to the thread that sets it.
    with one_blas_thread(), threadpool_limits(1, "openmp"):
        probability = cross_val_predict(classifier, features, is_candidate, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(is_candidate, probability))


def _user_features(users: csr_matrix, *, seed: int) -> np.ndarray:
    log_popularity = np.log1p(item_popularity(users))
    activity = np.diff(users.indptr)
    mean_popularity = (users @ log_popularity) / np.maximum(1, activity)
    return np.column_stack([activity, mean_popularity, users @ fit_svd(users, seed=seed).item_factors])
