"""The panel of judges: recommenders by name, with settings chosen on the validation users."""

from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.config import JudgeName
from sdrm_core.data.matrix import Fold
from sdrm_core.errors import ConfigError
from sdrm_core.quality.ease import fit_ease, learn_gram, require_few_items
from sdrm_core.quality.judges import Judge, fit_popularity, fit_svd
from sdrm_core.quality.neural import fit_neural
from sdrm_core.quality.ranking import METRICS, rank_users

SELECTION_METRIC = METRICS.index("ndcg@10")

# The best penalty grows with the number of users; the list also covers ten times as many users.
_EASE_PENALTIES = (300.0, 30.0, 100.0, 1000.0, 3000.0)
_IALS_SETTINGS = (  # confidence and penalty
    (1.0, 10.0),
    (1.0, 30.0),
    (3.0, 30.0),
    (10.0, 30.0),
    (1.0, 60.0),
    (3.0, 60.0),
    (3.0, 100.0),
    (10.0, 100.0),
    (3.0, 300.0),
    (10.0, 300.0),
)


class Chosen(NamedTuple):
    """A recommender with the settings that rank best for the validation users.

    Attributes:
        judge: returns the judge, fitted to the users with which the settings were chosen. If there was nothing to
            choose, each call fits it again, so call it once.
        fit: fits a judge with these settings to other (n_users, n_items) interactions and returns it.
    """

    judge: Callable[[], Judge]
    fit: Callable[[csr_matrix], Judge]


def require_possible(judges: Collection[JudgeName], *, n_items: int | None) -> None:
    """Raise an error if a judge cannot be created, or cannot handle a catalogue of this size.

    Args:
        judges: their names.
        n_items: size of the catalogue; None: not known yet.

    Raises:
        ConfigError: a judge needs a package that is not installed.
        DataError: a judge would need too much memory for so many items.
    """
    if "ials" in judges:
        _ials_candidates(seed=0)  # raises if its package is missing
    if n_items is not None and "ease" in judges:
        require_few_items(n_items)


def choose_judge(name: JudgeName, user_items: csr_matrix, *, validation: list[Fold], seed: int) -> Chosen:
    """Fit the named judge with each of its settings and return the one that ranks best for the validation users.

    Without validation users the first setting, a medium one, is used. The neural judges have only one setting; they use
    the validation users for early stopping.

    Args:
        name: the judge.
        user_items: (n_users, n_items), its training data.
        validation: folds of the validation users.
        seed: seed of random initial values.

    Raises:
        ConfigError: the judge needs a package that is not installed.
        DataError: the judge cannot handle a catalogue of this size.
    """
    fits_to = partial(judge_candidates, name, validation=validation, seed=seed)
    fits = fits_to(user_items)
    if len(fits) == 1 or not validation[0].inputs.shape[0]:
        return Chosen(fits[0], lambda users: fits_to(users)[0]())
    fitted = enumerate(fit() for fit in fits)
    number, judge = max(fitted, key=lambda numbered: selection_quality(numbered[1], validation))
    return Chosen(lambda: judge, lambda users: fits_to(users)[number]())


def selection_quality(judge: Judge, validation: list[Fold]) -> float:
    """Return the quality by which settings are chosen (higher is better); 0 without validation users."""
    return float(rank_folds(judge, validation)[:, SELECTION_METRIC].sum())


def rank_folds(judge: Judge, folds: list[Fold]) -> np.ndarray:
    """Return the (n_users, n_metrics) ranking metrics of each user, averaged over the folds."""
    per_fold = [rank_users(judge.score, inputs=fold.inputs, targets=fold.targets) for fold in folds]
    mean: np.ndarray = np.mean(per_fold, axis=0)
    return mean


def judge_candidates(
    name: JudgeName,
    user_items: csr_matrix,
    user_weights: np.ndarray | None = None,
    *,
    validation: list[Fold],
    seed: int,
) -> list[Callable[[], Judge]]:
    """Return functions that fit the named judge to the users, one for each of its settings, a medium one first.

    Args:
        name: the judge.
        user_items: (n_users, n_items), its training data.
        user_weights: (n_users,) weight of each user; None: 1 each.
        validation: folds of the validation users, for the early stopping of the neural judges.
        seed: seed of random initial values.
    """
    fits: list[Callable[..., Judge]]
    match name:
        case "ease":
            gram = learn_gram(user_items, user_weights=user_weights)
            return [partial(fit_ease, gram, penalty=penalty) for penalty in _EASE_PENALTIES]
        case "popularity":
            fits = [fit_popularity]
        case "svd":
            fits = [partial(fit_svd, seed=seed)]
        case "ials":
            fits = _ials_candidates(seed)
        case "mlp" | "neumf":
            fits = [partial(fit_neural, with_product=name == "neumf", validation=validation[0], seed=seed)]
    return [partial(fit, user_items, user_weights=user_weights) for fit in fits]


def _ials_candidates(seed: int) -> list[Callable[..., Judge]]:
    try:
        from sdrm_core.quality.ials import fit_ials  # imported here because its library is optional
    except ModuleNotFoundError as missing:
        remedy = "install sdrm-pipeline[judges], or leave it out"
        raise ConfigError(f"utility.judges: 'ials' needs the package {missing.name}; {remedy}") from None
    return [partial(fit_ials, confidence=alpha, penalty=penalty, seed=seed) for alpha, penalty in _IALS_SETTINGS]
