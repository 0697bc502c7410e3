"""How much a recommender gains if synthetic users are added to the real ones."""

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

_WEIGHTS = (0.3, 0.03, 0.1, 1.0)  # the first is used if validation quality is equal


class JudgeGain(Record):
    """The gain of one recommender.

    Attributes:
        weight: weight of a synthetic user relative to a real one, chosen on the validation users.
        metrics: metric → report; ``difference`` is the augmentation gain, ``verdict`` says whether it is significant.
    """

    weight: float
    metrics: dict[str, MetricReport]


class AugmentationReport(Record):
    """The gain of each recommender on the evaluation users; empty with fewer than two of them."""

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
    """Compare training on real + synthetic users with training on real users alone.

    For each recommender, the weight of the synthetic users and the recommender's settings are chosen together on the
    validation users, with the first synthetic data set. The gain is the mean over all synthetic data sets, measured on
    the evaluation users, relative to the recommender with the best settings for real users alone.

    Args:
        synthetics: (n_synthetic, n_items) each, from one generator with different seeds.
        train: (n_users, n_items), the real users the generator was trained on.
        validation: (n_validation, n_items), real users for choosing the weight and the settings.
        evaluation: (n_evaluation, n_items), real users not used for anything else.
        config: judges, folds and bootstrap draws.
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
