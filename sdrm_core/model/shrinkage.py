"""Items' vectors, shrunk to what the users of each item are evidence for.

A decoder's leading directions are taste that thousands share; its trailing ones are small beside what a handful of
people add to the vector of a rare item by chance. That part recommends little and gives the handful away.
"""

import numpy as np
from scipy.linalg import eigh

from sdrm_core.threads import one_blas_thread

DOUBT = 2
"""Times ``k_anonymity``: evidence is weighed as if so many training users said what one says."""

_SMALLEST = 1e-9  # of the largest variance: what features span


def shrink_item_vectors(
    item_vectors: np.ndarray, features: np.ndarray, popularity: np.ndarray, *, doubt: float
) -> np.ndarray:
    """Shrink each item's vector, direction by direction, by how much the direction matters and how many have the item.

    In coordinates in which features are uncorrelated and of variance 1, and the directions in which logits vary
    orthogonal, a coordinate of an item that n people have is kept to v / (v + doubt / n), for v the variance of all
    items' logits along it: the posterior mean under a Gaussian prior of variance v for each direction, were the
    coordinate measured with an error of variance doubt / n. With a doubt of 1 that would be about the training's own
    error; more of it is caution.

    Args:
        item_vectors: (n_items, n_features) of the decoder's last layer.
        features: (n_users, n_features) that it is applied to.
        popularity: (n_items,) training users of each item.
        doubt: above 0.

    Returns:
        (n_items, n_features) float64, less a vector common to all items, which no draw depends on.

    Source: Efron and Morris 1973, on the estimation of many means, for each direction by itself.
    """
    with one_blas_thread():  # the same bytes on any number of cores
        shares = popularity / popularity.sum()
        centred = item_vectors - shares @ item_vectors
        spread, axes = eigh(np.atleast_2d(np.cov(features, rowvar=False)))
        spanned = spread > _SMALLEST * spread[-1]
        spread, axes = np.sqrt(spread[spanned]), axes[:, spanned]
        coordinates = centred @ (axes * spread)
        variances, directions = eigh(coordinates.T @ (shares[:, None] * coordinates))
        evidence = popularity[:, None] * np.maximum(variances, 0)
        kept = (coordinates @ directions) * (evidence / (evidence + doubt))
        shrunk: np.ndarray = kept @ directions.T @ (axes / spread).T
    return shrunk
