"""How much of the tolerated leak synthetic users show: a figure for choosing settings, never a verdict on a release.

*Onlookers* are users outside the model's training set who stand in for the held-out users.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from math import inf

import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import PrivacyConfig, PrivacyGate
from sdrm_core.privacy import gates
from sdrm_core.privacy.attacks import chance_of_activity_trend
from sdrm_core.privacy.evidence import Evidence, RealUsers, gather
from sdrm_core.privacy.similarity import CPU, clean, require_same_catalogue
from sdrm_core.privacy.statistics import Estimate, mean_of, mean_p_value
from sdrm_core.privacy.verdicts import MIN_HOLDOUT_USERS, Figure, GateVerdict, Verdict
from sdrm_core.randomness import numpy_stream
from sdrm_core.records import Leak

_CHANCE = 0.02  # a figure with a larger p-value counts as no leak
_MAX_PAIR_PRODUCTS = 2e10  # of so many people, more show hardly more
_ANSWERING: tuple[PrivacyGate, ...] = ("membership", "rare_pairs", "completion")  # gates that depend on temperature
_Verdicts = Mapping[PrivacyGate, GateVerdict]


def leak_against(
    sides: Sequence[tuple[csr_matrix, csr_matrix]],
    *,
    n_train: int,
    config: PrivacyConfig,
    seed: int,
    device: torch.device = CPU,
) -> Callable[[Sequence[csr_matrix]], Leak] | None:
    """Return a function that measures what share of the gates' margins is used, with onlookers in place of the holdout.

    ``closer_to_train`` is left out: it hardly depends on the temperature, and the result is used to choose the
    temperature.

    The holdout is not used, so that its verdict on a release stays unbiased. A figure with p ≥ .02 counts as no leak:
    otherwise few onlookers would demand more randomness than their evidence supports. (With nine figures, chance gives
    a p-value below .02 in one case of six.) For several models the figures are averaged. The leak is assumed to be
    inversely proportional to the number of users a model was trained on.

    Args:
        sides: for each model, the users (n_users, n_items) it was trained on, and its onlookers (n_onlookers, n_items).
        n_train: number of training users of the model whose leak is wanted; at least as many as in each of ``sides``.
        config: margins and limits.
        seed: of the run.
        device: where users are compared.

    Returns:
        None if there are too few users to measure anything. Else a function of the synthetic users
        (n_synthetic, n_items) of each model. It returns

        - ``share``: the largest share of a margin that a significant figure uses; 0 without a sign of a leak, above 1
          if a margin is exceeded, infinite if there are copies or a gate could not be computed;
        - ``bound``: the same for the leak that was not found but cannot be excluded;
        - ``rises_with_activity``: whether users with many items leak more.

        It raises the same ``DataError`` for bad synthetic users.

    Raises:
        DataError: different catalogues, an empty set, or values other than 0 and 1.
    """
    cleaned = [clean(train=train, onlookers=onlookers) for train, onlookers in sides]
    if min(users.shape[0] for side in cleaned for users in side) < MIN_HOLDOUT_USERS:
        return None
    most = min(config.max_pair_products, _MAX_PAIR_PRODUCTS)
    config = config.model_copy(update={"max_pair_products": most})
    people = [RealUsers.of(*side, config=config, seed=seed, device=device) for side in cleaned]
    learnt = [train.shape[0] / n_train for train, _ in cleaned]
    return partial(_leak_of, people=people, learnt=learnt, config=config, seed=seed)


def _leak_of(
    synthetic: Sequence[csr_matrix],
    *,
    people: Sequence[RealUsers],
    learnt: Sequence[float],
    config: PrivacyConfig,
    seed: int,
) -> Leak:
    found = [_evidence(*side) for side in zip(synthetic, people, strict=True)]
    rises = mean_p_value([chance_of_activity_trend(evidence) for evidence in found]) < _CHANCE
    judged = [
        gates.judged(
            (*gates.OF_COPIES, *_ANSWERING), evidence, config, draw_for=lambda gate: numpy_stream(seed, "leak", gate)
        )
        for evidence in found
    ]
    if not all(_is_judged(verdicts) for verdicts in judged):
        return Leak(share=inf, bound=inf, rises_with_activity=rises)
    together = [
        _together(figures, learnt=learnt)
        for gate in _ANSWERING
        for figures in zip(*(_by_name(verdicts[gate]) for verdicts in judged), strict=True)
    ]
    is_clear = all(verdicts[gate].verdict == Verdict.PASS for verdicts in judged for gate in gates.OF_COPIES)
    return Leak(share=_share(together), bound=_bound(together) if is_clear else inf, rises_with_activity=rises)


def _evidence(synthetic: csr_matrix, people: RealUsers) -> Evidence:
    require_same_catalogue(synthetic=synthetic, train=people.complete)
    (synthetic,) = clean(synthetic=synthetic)
    return gather(synthetic, people)


def _is_judged(verdicts: _Verdicts) -> bool:
    """Return whether there are no copies and every figure could be computed.

    A tolerated figure that could not be computed shows as a FAIL within its margin.
    """
    if any(verdicts[gate].verdict == Verdict.FAIL for gate in gates.OF_COPIES):
        return False
    figures = [verdicts[gate].figures for gate in _ANSWERING]
    return all(figures) and not any(
        figure.is_tolerated and figure.verdict == Verdict.FAIL and figure.share_of_tolerance <= 1
        for figure in chain.from_iterable(figures)
    )


def _by_name(verdict: GateVerdict) -> list[Figure]:
    return sorted(verdict.figures, key=lambda figure: figure.name)


def _together(figures: Sequence[Figure], *, learnt: Sequence[float]) -> Figure:
    """Return the mean of one figure over the models, scaled to a model trained on all training users."""
    first = figures[0]
    excess = [(1 - share) * (figure.effect - figure.null) for figure, share in zip(figures, learnt, strict=True)]
    estimate = mean_of(
        [
            Estimate(figure.effect - less, figure.lower - less, figure.upper - less, figure.p_value)
            for figure, less in zip(figures, excess, strict=True)
        ]
    )
    return Figure.judged(
        first.name,
        estimate,
        n=sum(figure.n for figure in figures),
        margin=first.margin,
        null=first.null,
        significance=first.significance,
        is_tolerated=first.is_tolerated,
    )


def _bound(figures: Sequence[Figure]) -> float:
    """Return the largest share of a margin that an upper bound reaches; infinite if a figure does not pass."""
    if any(figure.verdict != Verdict.PASS for figure in figures):
        return inf
    return max(figure.share_of_tolerance for figure in figures if figure.is_tolerated)


def _share(figures: Sequence[Figure]) -> float:
    """Return the largest share of a margin that a significant figure uses.

    Infinite if a figure fails although no share exceeds its margin: such a leak is not tolerated at all.
    """
    share = max((figure.share_of_tolerance for figure in figures if figure.p_value < _CHANCE), default=0.0)
    fails = any(figure.verdict == Verdict.FAIL for figure in figures)
    return inf if fails and share <= 1 else share
