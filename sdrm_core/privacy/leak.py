"""How much of the tolerated leak synthetic users show: a figure to choose settings by, never a verdict on a release."""

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

_CHANCE = 0.02
_ANSWERING: tuple[PrivacyGate, ...] = ("membership", "rare_pairs", "completion")  # to temperature
_Verdicts = Mapping[PrivacyGate, GateVerdict]


def leak_against(
    sides: Sequence[tuple[csr_matrix, csr_matrix]],
    *,
    n_train: int,
    config: PrivacyConfig,
    seed: int,
    device: torch.device = CPU,
) -> Callable[[Sequence[csr_matrix]], Leak] | None:
    """Return a function that measures how much of the gates' margins is used, with onlookers as the holdout.

    ``closer_to_train`` is left out: it hardly depends on the temperature, which is what the result is used for.

    The holdout is not used, so that its verdict on a release stays unbiased. A figure with p ≥ .02 counts as no leak
    (over eight figures, chance exceeds that in one case of seven): few onlookers must not demand more randomness
    than their evidence supports. Of several models the means are taken, and what leaks is taken to be in inverse
    proportion to the number of users that a model was trained on.

    Args:
        sides: of each model to be judged, the users (n_users, n_items) it was trained on, and onlookers (n_onlookers,
            n_items), users unseen in training.
        n_train: users of the model that is meant; as many as the first of a side, or more.
        config: margins and limits.
        seed: of the run.
        device: where users are compared.

    Returns:
        A function of synthetic users (n_synthetic, n_items), drawn from each model. It returns the largest share of a
        margin that any gate uses: 0 without a sign of a leak, above 1 if a margin is exceeded, infinite if there are
        copies or a gate could not be computed; the same of what was not seen but could be there (``bound``); and
        whether people with many items leak more (``rises_with_activity``). It raises the same ``DataError`` for bad
        synthetic users. None if there are too few users to measure anything.

    Raises:
        DataError: different catalogues, an empty set, or values other than 0 and 1.
    """
    cleaned = [clean(train=train, onlookers=onlookers) for train, onlookers in sides]
    if min(users.shape[0] for side in cleaned for users in side) < MIN_HOLDOUT_USERS:
        return None
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
    """Return whether there are no copies and everything could be computed: what could not fails without a leak."""
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
    """Return what the models say together of one figure, as of a model of all training users."""
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
    """Return the share of the bound nearest to its margin; infinite if a gate would not pass."""
    if any(figure.verdict != Verdict.PASS for figure in figures):
        return inf
    return max(figure.share_of_tolerance for figure in figures if figure.is_tolerated)


def _share(figures: Sequence[Figure]) -> float:
    """Return the share of the leak nearest to its margin; infinite where one within it fails: none is tolerated."""
    share = max((figure.share_of_tolerance for figure in figures if figure.p_value < _CHANCE), default=0.0)
    fails = any(figure.verdict == Verdict.FAIL for figure in figures)
    return inf if fails and share <= 1 else share
