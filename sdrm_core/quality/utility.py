"""Train on synthetic, test on real: how much a recommender loses if synthetic users replace the real ones."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, Self

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.config import JudgeName, UtilityConfig
from sdrm_core.data.matrix import Fold
from sdrm_core.data.users import some_users
from sdrm_core.quality.baselines import sample_by_popularity
from sdrm_core.quality.bootstrap import IntervalEstimate, bootstrap_means, estimate
from sdrm_core.quality.checks import require_comparable
from sdrm_core.quality.folds import MIN_USERS, rankable_users, split_fold
from sdrm_core.quality.panel import choose_judge, rank_folds
from sdrm_core.quality.ranking import METRICS
from sdrm_core.randomness import numpy_stream, stream_seed
from sdrm_core.records import Record

Outcome = Literal["better", "worse", "no difference"]


class MetricReport(Record):
    """One ranking metric of one arm, compared with training on the real users.

    Attributes:
        mean: over evaluation users, folds and generation seeds.
        ratio: to the real arm; null in the real arm itself; its values are null where the real metric is 0.
        difference: to the real arm; null in the real arm itself.
        verdict: "no difference" if the interval of the difference contains 0; null in the real arm itself.
    """

    mean: IntervalEstimate
    ratio: IntervalEstimate | None = None
    difference: IntervalEstimate | None = None
    verdict: Outcome | None = None


class ArmDifference(Record):
    """The difference between two arms in one ranking metric; "no difference" if the interval contains 0."""

    difference: IntervalEstimate
    verdict: Outcome


class UtilityReport(Record):
    """The ranking quality of each recommender for evaluation users, after training on each arm.

    Attributes:
        verdict: INCONCLUSIVE if there are fewer than two rankable evaluation users; then ``judges`` is empty.
        reason: why it is inconclusive; empty otherwise.
        evaluation_users: number of users ranked for; users with fewer than five positives are left out.
        folds: number of divisions of each user's items.
        bootstrap_draws: number of resamples for each interval.
        judges: judge → arm → metric → report; arms as in ``measure_utility``, metrics as in ``METRICS``.
    """

    verdict: Literal["MEASURED", "INCONCLUSIVE"]
    reason: str
    evaluation_users: int
    folds: int
    bootstrap_draws: int
    judges: dict[str, dict[str, dict[str, MetricReport]]]

    def ratio(self, judge: str, metric: str, *, arm: str = "synthetic") -> float | None:
        """Return the TSTR ratio, e.g. of ``svd`` at ``recall@10``; None if it was not measured."""
        report = self.judges.get(judge, {}).get(arm, {}).get(metric)
        return report.ratio.value if report and report.ratio else None


def measure_utility(
    synthetic: csr_matrix,
    *,
    train: csr_matrix,
    validation: csr_matrix,
    evaluation: csr_matrix,
    config: UtilityConfig,
    seed: int,
) -> UtilityReport:
    """Measure the utility of synthetic users, with real users and a popularity sampler for comparison.

    The arms are ``real`` (all of ``train``: the upper reference, and the denominator of every ratio), ``synthetic``,
    ``popularity_sampler`` (the lower reference, of the same size as ``synthetic``), and, if there are fewer synthetic
    than training users, ``real_same_size``, which shows the loss caused by size alone.

    Args:
        synthetic: (n_synthetic, n_items).
        train: (n_users, n_items), the real users the generator was trained on.
        validation: (n_validation, n_items), real users for choosing a judge's settings.
        evaluation: (n_evaluation, n_items), real users not used for anything else.
        config: judges, folds and bootstrap draws.
        seed: the run's seed.

    Returns:
        The report; INCONCLUSIVE with fewer than two evaluation users of at least five positives.

    Raises:
        DataError: item counts differ, or there is no synthetic user or no training interaction.
    """
    require_comparable(train=train, validation=validation, evaluation=evaluation, made={"synthetic": synthetic})
    n_synthetic = synthetic.shape[0]
    floor = sample_by_popularity(train, users=n_synthetic, seed=stream_seed(seed, "utility-floor", 0))
    arms = {"real": train, "synthetic": synthetic, "popularity_sampler": floor}
    if n_synthetic < train.shape[0]:
        arms["real_same_size"] = some_users(train, n_synthetic, draw=numpy_stream(seed, "real-same-size"))
    choosing, folds = (make_folds(users, config=config, seed=seed) for users in (validation, evaluation))
    n_users = folds[0].inputs.shape[0]
    judges: dict[str, dict[str, dict[str, MetricReport]]] = {}
    is_measured = n_users >= MIN_USERS
    for name in config.judges if is_measured else ():
        ranks = {arm: rank_arm(name, users, folds=folds, validation=choosing, seed=seed) for arm, users in arms.items()}
        judges[name] = report_arms(
            {arm: Resampled.of(one[None], draws=config.bootstrap_draws, seed=seed) for arm, one in ranks.items()}
        )
    too_few = f"{n_users} evaluation users have at least five positives; at least {MIN_USERS} are needed"
    return UtilityReport(
        verdict="MEASURED" if is_measured else "INCONCLUSIVE",
        reason="" if is_measured else too_few,
        evaluation_users=n_users,
        folds=config.fold_seeds,
        bootstrap_draws=config.bootstrap_draws,
        judges=judges,
    )


def make_folds(users: csr_matrix, *, config: UtilityConfig, seed: int) -> list[Fold]:
    """Return the configured number of divisions of the rankable users."""
    rankable = rankable_users(users, max_users=config.max_users, seed=seed)
    return [
        split_fold(rankable, input_share=config.input_share, seed=seed, fold=fold) for fold in range(config.fold_seeds)
    ]


def rank_arm(
    judge: JudgeName, users: csr_matrix, *, folds: list[Fold], validation: list[Fold], seed: int
) -> np.ndarray:
    """Return the (n_evaluation, n_metrics) ranking metrics of one judge on one arm.

    The judge's settings are chosen on the validation users for each arm: a recommender trained on ten times as many
    users needs another penalty, and no arm should win only because the settings suit it.

    Args:
        judge: the judge.
        users: (n_users, n_items), the arm's users.
        folds: folds of the evaluation users.
        validation: folds of the validation users.
        seed: the run's seed.
    """
    return rank_folds(choose_judge(judge, users, validation=validation, seed=seed).judge(), folds)


class Resampled(NamedTuple):
    """Each ranking metric of an arm with its resamples; with the same seed all arms are resampled alike.

    Attributes:
        mean: (n_metrics,) over evaluation users and generation seeds.
        draws: (draws, n_metrics), the mean of each resample.
    """

    mean: np.ndarray
    draws: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, *, draws: int, seed: int) -> Self:
        """Resample ``values`` (n_seeds, n_users, n_metrics), the metrics of each generation seed and user."""
        return cls(values.mean(axis=(0, 1)), bootstrap_means(values, draws=draws, seed=seed))

    def estimates(self) -> dict[str, IntervalEstimate]:
        """Return metric → mean and interval."""
        return {
            metric: estimate(mean, draws) for metric, mean, draws in zip(METRICS, self.mean, self.draws.T, strict=True)
        }


def report_arms(arms: Mapping[str, Resampled]) -> dict[str, dict[str, MetricReport]]:
    """Compare every arm with the arm ``real``; return arm → metric → report."""
    real = arms["real"]
    return {
        name: {metric: MetricReport(mean=mean) for metric, mean in arm.estimates().items()}
        if name == "real"
        else _report(arm, real)
        for name, arm in arms.items()
    }


def difference(first: Resampled, second: Resampled) -> dict[str, ArmDifference]:
    """Return metric → ``first`` minus ``second``; also paired by seed if both have equally many seeds."""
    beyond = Resampled(first.mean - second.mean, first.draws - second.draws).estimates()
    return {metric: ArmDifference(difference=found, verdict=_verdict(found)) for metric, found in beyond.items()}


def _report(arm: Resampled, real: Resampled) -> dict[str, MetricReport]:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = Resampled(arm.mean / real.mean, arm.draws / real.draws).estimates()
    means, beyond = arm.estimates(), difference(arm, real)
    return {
        metric: MetricReport(mean=means[metric], ratio=ratios[metric], **dict(beyond[metric])) for metric in METRICS
    }


def _verdict(beyond: IntervalEstimate) -> Outcome:
    if beyond.low is not None and beyond.low > 0:
        return "better"
    if beyond.high is not None and beyond.high < 0:
        return "worse"
    return "no difference"
