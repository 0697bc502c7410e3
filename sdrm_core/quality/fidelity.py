"""Fidelity: how similar synthetic users are to training users, compared with held-out users and a simple sampler."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.data.anonymity import is_publishable, publishable_activity
from sdrm_core.quality.baselines import sample_by_popularity
from sdrm_core.quality.checks import require_comparable
from sdrm_core.quality.curves import Curves, fidelity_curves
from sdrm_core.quality.marginals import activity_figures, popularity_figures
from sdrm_core.quality.structure import CooccurrenceReference, classifier_auc
from sdrm_core.randomness import stream_seed
from sdrm_core.records import Record

Goal = Literal["lower", "higher", "match"]

# name → (goal, meaning); the order is the order of every table
FIGURES: dict[str, tuple[Goal, str]] = {
    "popularity_total_variation": ("lower", "half the summed differences of the items' shares of interactions"),
    "popularity_spearman": ("higher", "rank correlation of the items' numbers of users"),
    "popularity_gini": ("match", "inequality of the items' numbers of users"),
    "publishable_gini": ("match", "inequality of the publishable items' numbers of users"),
    "tail_share": ("match", "share of interactions in the 80 % least popular items"),
    "catalogue_coverage": ("higher", "share of the publishable items that occur"),
    "activity_ks": ("lower", "Kolmogorov-Smirnov distance of the users' numbers of items"),
    "activity_mean": ("match", "mean number of items a user has"),
    "activity_sd": ("match", "standard deviation of the number of items a user has"),
    "activity_max": ("match", "largest number of items a user has"),
    "empty_user_share": ("lower", "share of users without any item"),
    "density_ratio": ("match", "density divided by that of the training users"),
    "cooccurrence_correlation": ("higher", "correlation of the cosines of item pairs that at least 5 users have"),
    "classifier_auc": (
        "match",
        "area under the ROC curve of a classifier that tells these users from training users",
    ),
}

# Computed from the uncapped activity of real users, these would reveal the most active users' numbers of items.
_TELLING = ("activity_mean", "activity_sd", "density_ratio")


class FidelityFigure(Record):
    """One figure of the synthetic users against the training users, with values for comparison.

    Attributes:
        goal: which direction is better; ``match`` means near ``ideal``.
        meaning: what is measured, in one line.
        ideal: the training users against themselves.
        synthetic: the synthetic users; null where undefined.
        holdout: held-out real users: what a perfect generator would reach. Null where undefined or without such users.
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
        published: mean, standard deviation and density once more, with real users' numbers of items capped at what may
            be published. These are released instead of the uncapped ones, because the two together would reveal what
            was capped.
        train_users: number of training users compared with.
        synthetic_users: number of synthetic users measured.
        holdout_users: number of users in the column ``holdout``; few users make its distances larger.
    """

    figures: dict[str, FidelityFigure]
    curves: Curves
    published: dict[str, FidelityFigure]
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
) -> FidelityReport:
    """Compare synthetic users with the training users.

    Args:
        synthetic: (n_synthetic, n_items) binary, canonical.
        train: (n_train, n_items), the real users the generator was trained on.
        holdout: (n_holdout, n_items), held-out real users; may be empty.
        k_anonymity: number of training users that must have an item for a release to contain it.
        seed: the run's seed.

    Raises:
        DataError: item counts differ, or there is no synthetic user or no training interaction.
    """
    require_comparable(train=train, holdout=holdout, made={"synthetic": synthetic})
    sampler_seed = stream_seed(seed, "fidelity-floor")
    candidates = {
        "synthetic": synthetic,
        "holdout": holdout,
        "popularity_sampler": sample_by_popularity(train, users=synthetic.shape[0], seed=sampler_seed),
    }
    publishable = is_publishable(train, k_anonymity=k_anonymity)
    pairs = CooccurrenceReference(train, seed=seed)
    measured = {
        name: popularity_figures(users, train, publishable=publishable)
        | {
            "cooccurrence_correlation": pairs.correlation_with(users),
            "classifier_auc": classifier_auc(users, train, seed=seed),
        }
        for name, users in candidates.items()
        if users.shape[0]
    }
    ideal = popularity_figures(train, train, publishable=publishable)
    ideal |= {"cooccurrence_correlation": 1.0, "classifier_auc": 0.5}
    known = np.diff(train.indptr)
    counts = {name: np.diff(users.indptr) for name, users in candidates.items() if users.shape[0]}
    cut = publishable_activity(known, k_anonymity=k_anonymity, n_publishable=int(publishable.sum()))
    shown = {name: of if name == "synthetic" else np.minimum(of, cut[-1]) for name, of in counts.items()}
    return FidelityReport(
        figures=_figures(
            {name: measured[name] | activity_figures(of, known) for name, of in counts.items()},
            ideal=ideal | activity_figures(known, known),
        ),
        published=_figures(
            {name: activity_figures(of, cut) for name, of in shown.items()},
            ideal={name: value for name, value in activity_figures(cut, cut).items() if name in _TELLING},
        ),
        curves=fidelity_curves(synthetic, train, publishable=publishable, k_anonymity=k_anonymity),
        train_users=train.shape[0],
        synthetic_users=synthetic.shape[0],
        holdout_users=holdout.shape[0],
    )


def _figures(
    measured: Mapping[str, Mapping[str, float | None]], *, ideal: Mapping[str, float | None]
) -> dict[str, FidelityFigure]:
    """Return each figure of ``ideal``, in the order of ``FIGURES``, with its measured values for each kind of users."""
    kinds = ("synthetic", "holdout", "popularity_sampler")
    return {
        name: FidelityFigure(
            goal=goal,
            meaning=meaning,
            ideal=ideal[name],
            **{kind: measured[kind][name] if kind in measured else None for kind in kinds},
        )
        for name, (goal, meaning) in FIGURES.items()
        if name in ideal
    }
