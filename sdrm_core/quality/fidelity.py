"""Does the synthetic data look like its source: each figure beside what perfect and what naive look like."""

from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.data.matrix import is_publishable
from sdrm_core.quality.baselines import sample_by_popularity
from sdrm_core.quality.checks import require_comparable
from sdrm_core.quality.curves import Curves, fidelity_curves
from sdrm_core.quality.margins import activity_figures, popularity_figures
from sdrm_core.quality.structure import CooccurrenceReference, classifier_auc
from sdrm_core.randomness import stream_seed
from sdrm_core.records import Record

Goal = Literal["lower", "higher", "match"]

# name → (goal, meaning); the order is the order of every table
FIGURES: dict[str, tuple[Goal, str]] = {
    "popularity_total_variation": ("lower", "half the summed differences of the items' shares of interactions"),
    "popularity_spearman": ("higher", "rank correlation of the items' numbers of users"),
    "popularity_gini": ("match", "inequality of the items' numbers of users"),
    "publishable_gini": ("match", "the same of the publishable items alone"),
    "tail_share": ("match", "share of interactions in the 80 % least popular items"),
    "catalogue_coverage": ("higher", "share of the publishable items that occur"),
    "activity_ks": ("lower", "Kolmogorov-Smirnov distance of the users' numbers of items"),
    "activity_mean": ("match", "mean number of items a user has"),
    "activity_sd": ("match", "standard deviation of the number of items a user has"),
    "activity_max": ("match", "largest number of items a user has"),
    "empty_user_share": ("lower", "share of users without any item"),
    "density_ratio": ("match", "density over that of the training users"),
    "cooccurrence_correlation": ("higher", "correlation of the cosines of item pairs that at least 5 users have"),
    "classifier_auc": ("match", "area under the ROC curve of a classifier that tells them from training users"),
}


class Figure(Record):
    """One figure of the synthetic users against the training users, and what to hold it against.

    Attributes:
        goal: which way is better; ``match`` means near ``ideal``.
        meaning: what is measured, as one line.
        ideal: the training users against themselves.
        synthetic: the synthetic users; null where undefined.
        holdout: real users the generator never saw: what perfect looks like. Null where undefined or without any.
        popularity_sampler: independent items by popularity, as many users as synthetic ones.
    """

    goal: Goal
    meaning: str
    ideal: float | None
    synthetic: float | None
    holdout: float | None
    popularity_sampler: float | None


class FidelityReport(Record):
    """All figures by name, in the order of ``FIGURES``, and the curves to plot.

    Attributes:
        figures: name → figure.
        curves: popularity and activity, real and synthetic.
        published_density_ratio: density over that of what may be published of the training users' activity. Beside
            ``density_ratio`` it tells what had to be cut, and so stays in the house.
        train_users: users compared with.
        synthetic_users: users measured.
        holdout_users: users behind the column ``holdout``; few of them make its distances larger.
    """

    figures: dict[str, Figure]
    curves: Curves
    published_density_ratio: float
    train_users: int
    synthetic_users: int
    holdout_users: int

    def synthetic(self, name: str) -> float | None:
        """Return one figure of the synthetic users."""
        return self.figures[name].synthetic


def measure_fidelity(
    synthetic: csr_matrix,
    *,
    train: csr_matrix,
    holdout: csr_matrix,
    k_anonymity: int,
    seed: int,
    activity: np.ndarray | None = None,
) -> FidelityReport:
    """Compare synthetic users with the training users.

    Args:
        synthetic: (n_synthetic, n_items) binary, canonical.
        train: (n_train, n_items), the real users the generator learned from.
        holdout: (n_holdout, n_items), real users it never saw; may be empty.
        k_anonymity: training users that must have an item for a release to contain it.
        seed: the run's seed.
        activity: (n_train,) items per training user, cut to what may be published; None: nothing had to be cut.

    Raises:
        DataError: item counts differ, or there is no synthetic user or no training interaction.
    """
    require_comparable(train=train, synthetic=synthetic, holdout=holdout)
    sampler_seed = stream_seed(seed, "fidelity-floor")
    candidates = {
        "synthetic": synthetic,
        "holdout": holdout,
        "popularity_sampler": sample_by_popularity(train, users=synthetic.shape[0], seed=sampler_seed),
    }
    publishable = is_publishable(train, k_anonymity=k_anonymity)
    pairs = CooccurrenceReference(train, seed=seed)
    measured: dict[str, dict[str, float | None]] = {
        name: _margins(users, train, publishable)
        | {
            "cooccurrence_correlation": pairs.correlation_with(users),
            "classifier_auc": classifier_auc(users, train, seed=seed),
        }
        for name, users in candidates.items()
        if users.shape[0]
    }
    ideal = _margins(train, train, publishable) | {"cooccurrence_correlation": 1.0, "classifier_auc": 0.5}
    items_per_user = float(np.mean(np.diff(train.indptr) if activity is None else activity))
    figures = {
        name: Figure(
            goal=goal,
            meaning=meaning,
            ideal=ideal[name],
            **{candidate: measured.get(candidate, {}).get(name) for candidate in candidates},
        )
        for name, (goal, meaning) in FIGURES.items()
    }
    return FidelityReport(
        figures=figures,
        curves=fidelity_curves(synthetic, train, publishable=publishable, k_anonymity=k_anonymity),
        published_density_ratio=synthetic.nnz / synthetic.shape[0] / items_per_user,
        train_users=train.shape[0],
        synthetic_users=synthetic.shape[0],
        holdout_users=holdout.shape[0],
    )


def _margins(users: csr_matrix, train: csr_matrix, publishable: np.ndarray) -> dict[str, float | None]:
    return popularity_figures(users, train, publishable=publishable) | activity_figures(users, train)
