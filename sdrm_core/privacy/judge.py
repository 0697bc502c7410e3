"""The privacy judgement: all gates on one set of comparisons. What cannot be judged does not pass."""

import numpy as np
import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import PrivacyConfig, PrivacyGate
from sdrm_core.privacy import gates, rules
from sdrm_core.privacy.evidence import Evidence, RealUsers, gather
from sdrm_core.privacy.similarity import CPU, clean, nearest
from sdrm_core.privacy.verdicts import (
    MIN_HOLDOUT_USERS,
    NO_GUARANTEE,
    GateVerdict,
    Histogram,
    PrivacyReport,
    Verdict,
    overall,
)
from sdrm_core.randomness import numpy_stream

_EDGES = np.linspace(0, 1, 51)
_STATISTICAL: tuple[PrivacyGate, ...] = (*gates.OF_COPIES, "closer_to_train", "membership", "rare_pairs", "completion")


def judge_privacy(
    synthetic: csr_matrix,
    train: csr_matrix,
    holdout: csr_matrix,
    *,
    user_ids: np.ndarray,
    previous_ids: np.ndarray | None,
    config: PrivacyConfig,
    seed: int,
    device: torch.device = CPU,
) -> PrivacyReport:
    """Judge whether synthetic users give away the people the model was trained on.

    Args:
        synthetic: (n_synthetic, n_items), rows in the order of the release; 1 where a user has an item.
        train: (n_train, n_items), the users the model was trained on.
        holdout: (n_holdout, n_items), users the model never saw; with fewer than 30, most gates are inconclusive.
        user_ids: (n_synthetic,) the released ids of the synthetic users.
        previous_ids: (n,) ids of the previous release of the same data set; None: there is none.
        config: margins and limits.
        seed: of the run; the judgement uses separate random streams made from it.
        device: where users are compared.

    Raises:
        DataError: different catalogues, an empty set, or values other than 0 and 1.
    """
    synthetic, train, holdout = clean(synthetic=synthetic, train=train, holdout=holdout)
    people = RealUsers.of(train, holdout, config=config, seed=seed, device=device)
    evidence = gather(synthetic, people)
    verdicts = (
        rules.judge_hygiene(synthetic, user_ids, previous_ids, evidence),
        rules.judge_k_anonymity(synthetic, train, k=config.k_anonymity),
        *_statistical(evidence, config, seed=seed),
        rules.judge_dissimilarity(evidence, minimum=config.min_dissimilarity),
    )
    accepted = tuple(
        verdict.gate
        for verdict in verdicts
        if verdict.verdict == Verdict.INCONCLUSIVE
        and verdict.gate in config.accept_inconclusive
        and verdict.gate not in config.report_only  # a gate that is only reported needs no acceptance
    )
    return PrivacyReport(
        verdict=overall(verdicts, accepted),
        gates=verdicts,
        accepted=accepted,
        n_synthetic=synthetic.shape[0],
        n_train=train.shape[0],
        n_holdout=min(holdout.shape[0], train.shape[0]),
        compared=evidence.compared,
        formal_guarantee=NO_GUARANTEE,
        histograms=_histograms(evidence),
    )


def _statistical(evidence: Evidence, config: PrivacyConfig, *, seed: int) -> list[GateVerdict]:
    n_holdout = evidence.people.n_holdout
    are_enough = n_holdout >= MIN_HOLDOUT_USERS
    judged = gates.judged(
        _STATISTICAL if are_enough else gates.OF_COPIES,
        evidence,
        config,
        draw_for=lambda gate: numpy_stream(seed, "privacy", gate),
    )
    if are_enough:
        return list(judged.values())
    failed = {gate: verdict for gate, verdict in judged.items() if verdict.verdict == Verdict.FAIL}
    return [failed.get(gate) or _too_few(gate, n_holdout) for gate in _STATISTICAL]


def _too_few(gate: PrivacyGate, n_holdout: int) -> GateVerdict:
    sentence = f"Held-out users to compare with: {n_holdout:,}; a decision needs at least {MIN_HOLDOUT_USERS}."
    return GateVerdict(gate=gate, verdict=Verdict.INCONCLUSIVE, sentence=sentence, holdout_needed=MIN_HOLDOUT_USERS)


def _histograms(evidence: Evidence) -> dict[str, Histogram]:
    """Nearest-neighbour similarities: synthetic to T' and to H, and H to T'; H are the held-out users.

    T' is a random subset of the training users, as many as H.
    """
    people = evidence.people
    holdout = people.real[~people.is_train]
    some_train = people.real[np.flatnonzero(people.is_train)[: people.n_holdout]]  # their order is random
    pairs = {
        "synthetic_to_train": (evidence.synthetic, some_train),
        "synthetic_to_holdout": (evidence.synthetic, holdout),
        "holdout_to_train": (holdout, some_train),
    }
    return {
        name: _histogram(nearest(queries, reference, device=people.device).closest)
        for name, (queries, reference) in pairs.items()
    }


def _histogram(similarities: np.ndarray) -> Histogram:
    counts, _ = np.histogram(similarities, bins=_EDGES)
    return Histogram(edges=tuple(_EDGES.tolist()), counts=tuple(counts.tolist()))
