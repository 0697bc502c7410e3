"""What adding synthetic users to the real ones gains a recommender."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from scipy.sparse import csr_matrix, vstack

from sdrm_core.config import UtilityConfig
from sdrm_core.quality.checks import require_comparable
from sdrm_core.quality.folds import MIN_USERS
from sdrm_core.quality.panel import judge_candidates, rank_folds, selection_quality
from sdrm_core.quality.utility import MetricReport, Resampled, make_folds, rank_arm, report_arms
from sdrm_core.records import Record

_WEIGHTS = (0.3, 0.03, 0.1, 1.0)  # the first is taken where validation users cannot tell


class JudgeGain(Record):
    """What one recommender gains.

    Attributes:
        weight: what a synthetic user counts beside a real one, chosen on validation users.
        metrics: metric → report; ``difference`` is the augmentation gain, ``verdict`` whether it is one.
    """

    weight: float
    metrics: dict[str, MetricReport]


class AugmentationReport(Record):
    """The gain of each recommender, on the evaluation users; empty with fewer than two of them."""

    evaluation_users: int
    synthetic_users: int
    judges: dict[str, JudgeGain]


def measure_augmentation(
    synthetics: Sequence[csr_matrix],
    *,
    train: csr_matrix,
    validation: csr_matrix,
    evaluation: csr_matrix,
    config: UtilityConfig,
    seed: int,
) -> AugmentationReport:
    """Measure real + synthetic against real alone.

    The weight of the synthetic users, and with it the recommender's settings, are chosen for each recommender on the
    validation users, with the first synthetic data set. The gain is that of all of them on the evaluation users, over
    the recommender with the settings that are best for real users alone.

    Args:
        synthetics: (n_synthetic, n_items) each, of one generator under different seeds.
        train: (n_users, n_items), the real users the generator learned from.
        validation: (n_validation, n_items), real users to choose the weight and a judge's settings by.
        evaluation: (n_evaluation, n_items), real users nothing has seen.
        config: judges, folds and draws.
        seed: the run's seed.

    Raises:
        DataError: item counts differ, or there is no synthetic user or no training interaction.
    """
    made = {f"synthetic ({number})": one for number, one in enumerate(synthetics)}
    require_comparable(train=train, validation=validation, evaluation=evaluation, made=made)
    choosing, judging = (make_folds(users, config=config, seed=seed) for users in (validation, evaluation))
    n_users = judging[0].inputs.shape[0]
    judges = {}
    for name in config.judges if n_users >= MIN_USERS else ():
        fits_to = partial(judge_candidates, name, validation=choosing, seed=seed)
        quality = {
            (weight, number): selection_quality(fit(), choosing)
            for weight in _WEIGHTS
            for number, fit in enumerate(fits_to(*_both(train, synthetics[0], weight)))
        }
        weight, number = max(quality, key=quality.__getitem__)  # the first of equals
        augmented = [rank_folds(fits_to(*_both(train, one, weight))[number](), judging) for one in synthetics]
        alone = rank_arm(name, train, folds=judging, validation=choosing, seed=seed)
        values = {"real": alone[None], "augmented": np.stack(augmented)}
        reports = report_arms(
            {arm: Resampled.of(one, draws=config.bootstrap_draws, seed=seed) for arm, one in values.items()}
        )
        judges[str(name)] = JudgeGain(weight=weight, metrics=reports["augmented"])
    return AugmentationReport(evaluation_users=n_users, synthetic_users=synthetics[0].shape[0], judges=judges)


def _both(train: csr_matrix, synthetic: csr_matrix, weight: float) -> tuple[csr_matrix, np.ndarray]:
    both = csr_matrix(vstack([train, synthetic], format="csr"))
    return both, np.repeat([1.0, weight], [train.shape[0], synthetic.shape[0]])
