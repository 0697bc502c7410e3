"""How much of the tolerated leak synthetic users show: a figure to choose settings by, never a verdict on a release."""

from collections.abc import Callable, Sequence
from functools import partial
from math import inf

import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import PrivacyConfig, PrivacyGate
from sdrm_core.privacy import gates
from sdrm_core.privacy.attacks import chance_of_activity_trend
from sdrm_core.privacy.evidence import RealUsers, gather
from sdrm_core.privacy.similarity import CPU, clean, require_same_catalogue
from sdrm_core.privacy.verdicts import MIN_HOLDOUT_USERS, GateVerdict, Verdict
from sdrm_core.randomness import numpy_stream
from sdrm_core.records import Leak

_CHANCE = 0.02
_ANSWERING: tuple[PrivacyGate, ...] = ("membership", "rare_pairs", "completion")  # to temperature


def leak_against(
    train: csr_matrix, onlookers: csr_matrix, *, config: PrivacyConfig, seed: int, device: torch.device = CPU
) -> Callable[[csr_matrix], Leak] | None:
    """Return a function that measures how much of the gates' margins is used, with ``onlookers`` as the holdout.

    ``closer_to_train`` is left out: it hardly depends on the temperature, which is what the result is used for.

    The holdout is not used, so that its verdict on a release stays unbiased. A figure with p ≥ .02 counts as no leak
    (over eight figures, chance exceeds that in one case of seven): few onlookers must not demand more randomness
    than their evidence supports.

    Args:
        train: (n_train, n_items), the users the model was trained on.
        onlookers: (n_onlookers, n_items), users that decide settings, unseen in training.
        config: margins and limits.
        seed: of the run.
        device: where users are compared.

    Returns:
        A function of synthetic users (n_synthetic, n_items). It returns the largest share of a margin that any gate
        uses: 0 without a sign of a leak, above 1 if a margin is exceeded, infinite if there are copies or a gate could
        not be computed; the same of what was not seen but could be there (``bound``); and whether people with many
        items leak more (``rises_with_activity``). It raises the same ``DataError`` for bad synthetic users. None if
        there are too few users to measure anything.

    Raises:
        DataError: different catalogues, an empty set, or values other than 0 and 1.
    """
    train, onlookers = clean(train=train, onlookers=onlookers)
    if min(train.shape[0], onlookers.shape[0]) < MIN_HOLDOUT_USERS:
        return None
    people = RealUsers.of(train, onlookers, config=config, seed=seed, device=device)
    return partial(_leak_of, people=people, config=config, seed=seed)


def _leak_of(synthetic: csr_matrix, *, people: RealUsers, config: PrivacyConfig, seed: int) -> Leak:
    require_same_catalogue(synthetic=synthetic, train=people.complete)
    (synthetic,) = clean(synthetic=synthetic)
    evidence = gather(synthetic, people)
    rises = chance_of_activity_trend(evidence) < _CHANCE
    verdicts = gates.judged(
        (*gates.OF_COPIES, *_ANSWERING), evidence, config, draw_for=lambda gate: numpy_stream(seed, "leak", gate)
    )
    if any(verdicts[gate].verdict == Verdict.FAIL for gate in gates.OF_COPIES):
        return Leak(share=inf, bound=inf, rises_with_activity=rises)
    return Leak(
        share=max(_share(verdicts[gate]) for gate in _ANSWERING),
        bound=_bound(tuple(verdicts.values())),
        rises_with_activity=rises,
    )


def _bound(verdicts: Sequence[GateVerdict]) -> float:
    """Return the share of the bound nearest to its margin; infinite if a gate does not pass."""
    if any(verdict.verdict != Verdict.PASS for verdict in verdicts):
        return inf
    figures = [figure for verdict in verdicts for figure in verdict.figures if figure.is_tolerated]
    return max(figure.share_of_tolerance for figure in figures)


def _share(verdict: GateVerdict) -> float:
    """Return the share of the figure nearest to its margin; infinite where the gate fails without a leak to show."""
    leaks = [figure for figure in verdict.figures if figure.p_value < _CHANCE]
    share = max((figure.share_of_tolerance for figure in leaks), default=0.0)
    was_computed = verdict.verdict != Verdict.FAIL or share > 1
    return max(share, 0.0) if was_computed else inf
