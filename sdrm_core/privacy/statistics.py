"""The tests and bounds of the gates. All are one-sided: a leak is a figure that is too large.

*Struck* means hit by a synthetic user; ``copies`` and ``rare_pairs`` define what counts as a hit.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
_Z = float(stats.norm.ppf(CONFIDENCE))
_TINY, _EPSILON = np.finfo(float).tiny, np.finfo(float).eps  # p-values are kept from _TINY to 1 - _EPSILON
_LEAST_PER_COVARIATE = 3  # users per fitted coefficient; with fewer the result is "unknown"
_LEAST_ODDS = 1.5  # odds ratio; about that of the closest users if ``membership`` is at its margin (AUC .55)


@dataclass(frozen=True)
class Estimate:
    """A figure with its one-sided 95 % bounds and the p-value of "no leak"."""

    effect: float
    lower: float
    upper: float
    p_value: float

    @classmethod
    def normal(cls, effect: float, *, standard_error: float, null: float = 0.0) -> "Estimate":
        """Return the estimate of an approximately normal figure; with a standard error of 0 the p-value is 1."""
        p_value = float(stats.norm.sf((effect - null) / standard_error)) if standard_error > 0 else 1.0
        return cls(effect, effect - _Z * standard_error, effect + _Z * standard_error, p_value)

    @property
    def standard_error(self) -> float:
        """Half of the interval's width, divided by the normal quantile."""
        return (self.upper - self.lower) / (2 * _Z)


UNKNOWN = Estimate(0.0, -1.0, 1.0, 1.0)
"""A difference of two shares of which nothing is known."""


def binomial_upper(hits: int, *, n: int) -> float:
    """Return the one-sided 95 % upper bound of a share (Clopper and Pearson, Biometrika 26, 1934)."""
    return float(stats.beta.ppf(CONFIDENCE, hits + 1, n - hits)) if hits < n else 1.0


def binomial_lower(hits: int, *, n: int) -> float:
    """Return the one-sided 95 % lower bound of a share, by the same method."""
    return float(stats.beta.ppf(1 - CONFIDENCE, hits, n - hits + 1)) if hits else 0.0


def excess_p_value(hits: int, *, n: int, control_hits: int, n_control: int) -> float:
    """Return Fisher's exact p-value that ``hits`` of ``n`` is a larger share than ``control_hits`` of ``n_control``.

    Given the row and column totals the hits are hypergeometric, so this is also the exact permutation test of the
    labels.
    """
    return float(stats.hypergeom.sf(hits - 1, n + n_control, hits + control_hits, n))


def struck_p_value(struck: np.ndarray, is_train: np.ndarray) -> float:
    """Return Fisher's exact p-value that training users are struck more often than held-out users.

    Each user counts once. The p-value is 1 if the odds ratio is below 1.5, about the leak that ``membership`` tolerates
    by default. With few users only large odds ratios are significant, but with a hundred thousand users a ratio just
    above 1 is: such a ratio hardly tells whether a struck person was trained on.

    Args:
        struck: (n_struck,) the users struck.
        is_train: (n_users,) True for training users, False for held-out users.
    """
    n_train, n_holdout = int(is_train.sum()), int((~is_train).sum())
    hit_train = int(is_train[struck].sum())
    hit_holdout = len(struck) - hit_train
    if not hit_train or hit_train * (n_holdout - hit_holdout) < _LEAST_ODDS * hit_holdout * (n_train - hit_train):
        return 1.0
    return excess_p_value(hit_train, n=n_train, control_hits=hit_holdout, n_control=n_holdout)


def adjusted(values: np.ndarray, covariates: np.ndarray) -> np.ndarray:
    """Return (n,) values minus what the covariates explain of them, with the same mean.

    The fit does not use the labels, so a permutation of the labels stays valid for the result; only noise is removed.

    Args:
        values: (n,) one figure per real user.
        covariates: (n, p), known of each user without the synthetic users and the role.
    """
    residual, _ = _unexplained(values, covariates)
    at_mean: np.ndarray = residual + values.mean()
    return at_mean


def _unexplained(values: np.ndarray, covariates: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the residuals of values (n, ...) on a constant and covariates (n, p), and the rank of the design."""
    design = np.column_stack([np.ones(len(values)), covariates])
    solution, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    return values - design @ solution, int(rank)


def adjusted_difference(values: np.ndarray, is_train: np.ndarray, covariates: np.ndarray) -> Estimate:
    """Estimate mean(train) - mean(holdout) at equal covariates, by least squares.

    What the covariates explain is removed from the values and from the roles. So with many covariates and few users the
    estimate becomes less certain, not biased. The bounds use the residual variance with the effect in the model, the
    p-value that without the effect: it is not 0 even if the two sides are completely separated. With hardly more users
    than covariates the result is unknown: 0, with bounds -1 and 1.

    Args:
        values: (n,) one figure from 0 to 1 per real user.
        is_train: (n,) True for training users, False for held-out users; at least one of each.
        covariates: (n, p), known of each user without the synthetic users and the role.

    Raises:
        ValueError: there is no training user or no held-out user.

    Source: Frisch and Waugh 1933, "Partial Time Regressions", for the estimate; its variance is that of least squares.
    """
    if is_train.all() or not is_train.any():
        raise ValueError("no training user or no held-out user to compare")
    if _tell_nothing(covariates):
        return UNKNOWN
    sides, rank = _unexplained(np.column_stack([values, is_train.astype(float)]), covariates)
    value, role = sides.T
    weight = role @ role
    effect = float(value @ role / weight)
    freedom = len(values) - rank - 1
    beside, without = np.square(value - effect * role).sum() / freedom, np.square(value).sum() / (freedom + 1)
    bounds, test = (Estimate.normal(effect, standard_error=float(np.sqrt(v / weight))) for v in (beside, without))
    return replace(bounds, p_value=test.p_value)


def _tell_nothing(covariates: np.ndarray) -> bool:
    n_users, n_covariates = covariates.shape
    return bool(n_users < _LEAST_PER_COVARIATE * (n_covariates + 1))


def ranks(values: np.ndarray) -> np.ndarray:
    """Return mid-ranks within each row (…, n), divided by n, in (0, 1); equal values get the same rank."""
    share: np.ndarray = (stats.rankdata(values, axis=-1) - 0.5) / values.shape[-1]
    return share


def auc(scores: np.ndarray, is_train: np.ndarray, covariates: np.ndarray) -> Estimate:
    """Estimate P(score of a training user > score of a held-out user), ties half, from ranks adjusted for covariates.

    (mean rank of train - mean rank of holdout) / n is the AUC minus one half, so adjusting the ranks adjusts the AUC:
    as far as the covariates explain it, the chance of who was held out cancels. If one side is empty, or with hardly
    more users than covariates, the result is unknown: 0.5, with bounds 0 and 1.
    """
    if is_train.all() or not is_train.any() or _tell_nothing(covariates):
        return Estimate(0.5, 0.0, 1.0, 1.0)
    gap = adjusted_difference(ranks(scores), is_train, covariates)
    return Estimate(gap.effect + 0.5, gap.lower + 0.5, gap.upper + 0.5, gap.p_value)


def aucs(scores: np.ndarray, is_train: np.ndarray, covariates: np.ndarray) -> np.ndarray:
    """Return (n_attacks,) the effect of ``auc`` for each attack's scores (n_attacks, n), by a single fit."""
    if is_train.all() or not is_train.any() or _tell_nothing(covariates):
        return np.full(len(scores), 0.5)
    role, _ = _unexplained(is_train.astype(float), covariates)
    gaps: np.ndarray = ranks(scores) @ role / (role @ role)
    return gaps + 0.5


def true_positive_rate(scores: np.ndarray, is_train: np.ndarray, *, false_positive_rate: float) -> Estimate:
    """Estimate the share of training users above the score that only few held-out users exceed.

    The threshold is a quantile of few users. Its noise enters through the slope of the ROC curve, approximated by
    TPR / FPR. The p-value is exact: given how many users exceed the threshold, the number of held-out ones among them
    is hypergeometric. The bounds may be below 0 or above 1.

    If several held-out users have exactly the threshold as score, a second rate counts users with that score partially,
    by the fraction that makes the false positive rate exact; the larger of both rates is returned.
    """
    train, holdout = scores[is_train], scores[~is_train]
    threshold = np.quantile(holdout, 1 - false_positive_rate)
    above, above_holdout = (int((side > threshold).sum()) for side in (train, holdout))
    from_there, from_there_holdout = (int((side >= threshold).sum()) for side in (train, holdout))
    n_tied = from_there_holdout - above_holdout
    split = max(false_positive_rate * len(holdout) - above_holdout, 0.0) / n_tied if n_tied > 1 else 0.0
    rate = above / len(train) * false_positive_rate * len(holdout) / max(above_holdout, 1)
    rate_of_tied = (above + split * (from_there - above)) / len(train)
    if rate_of_tied > rate:
        rate, above, above_holdout = rate_of_tied, from_there, from_there_holdout
    slope = max(rate, false_positive_rate) / false_positive_rate
    variance = max(rate, false_positive_rate) * (1 - rate) / len(train)
    variance += slope**2 * false_positive_rate * (1 - false_positive_rate) / len(holdout)
    bound = Estimate.normal(rate, standard_error=float(np.sqrt(variance)))
    p_value = excess_p_value(above, n=len(train), control_hits=max(above_holdout, 1), n_control=len(holdout))
    return Estimate(rate, bound.lower, bound.upper, p_value)


def averaged(first: Estimate, second: Estimate, *, null: float) -> Estimate:
    """Return the mean of two independent estimates of the same figure."""
    spread = float(np.hypot(first.standard_error, second.standard_error)) / 2
    return Estimate.normal((first.effect + second.effect) / 2, standard_error=spread, null=null)


def averaged_rate(first: Estimate, second: Estimate) -> Estimate:
    """Return the mean of two independent estimates of a share, with bounds within 0 and 1 and the combined p-value.

    Source: Fisher 1925, "Statistical Methods for Research Workers", section 21.1, for combining p-values.
    """
    mean = averaged(first, second, null=0.0)
    p_value = float(stats.combine_pvalues(np.maximum([first.p_value, second.p_value], _TINY), method="fisher").pvalue)
    return Estimate(mean.effect, max(mean.lower, 0.0), min(mean.upper, 1.0), p_value)


def agreed(estimates: Sequence[Estimate]) -> Estimate:
    """Combine estimates of one figure that come from different divisions of the same users.

    They are correlated to an unknown degree. The bounds are the means of the single bounds; that interval is no
    narrower than the one of the mean. The p-value is twice the median, which is valid under any dependence.

    Source: Rüger 1978, "Das maximale Signifikanzniveau des Tests: Lehne H0 ab, wenn k unter n gegebenen Tests zur
    Ablehnung führen", Metrika 25, for combining p-values.
    """
    p_value = float(np.median([estimate.p_value for estimate in estimates]))
    return _mean(estimates, p_value=min(2 * p_value, 1.0))


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean of estimates of one figure, with the certainty of a single one: their correlation is unknown."""
    return _mean(estimates, p_value=mean_p_value([estimate.p_value for estimate in estimates]))


def _mean(estimates: Sequence[Estimate], *, p_value: float) -> Estimate:
    """Return an estimate with the means of the single effects and bounds, and the given p-value."""
    effect, lower, upper, _ = np.mean([astuple(estimate) for estimate in estimates], axis=0).tolist()
    return Estimate(effect, lower, upper, p_value)


def mean_p_value(p_values: Sequence[float]) -> float:
    """Return the p-value of the mean normal score, assuming full correlation (the cautious choice)."""
    scores = stats.norm.isf(np.clip(p_values, _TINY, 1 - _EPSILON))
    return float(stats.norm.sf(scores.mean()))
