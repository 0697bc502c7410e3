"""The statistical gates: from what was measured to a verdict with its reasons."""

from dataclasses import replace
from math import isfinite

import numpy as np

from sdrm_core.config import PrivacyConfig, PrivacyGate
from sdrm_core.privacy.attacks import FALSE_POSITIVE_RATE, measure_membership
from sdrm_core.privacy.closeness import measure_closeness
from sdrm_core.privacy.completion import MAX_USERS, measure_completion
from sdrm_core.privacy.copies import Copies, near_copies, unique_copies
from sdrm_core.privacy.evidence import Evidence
from sdrm_core.privacy.rare_pairs import MOST_ODDS, measure_edge_pairs, measure_rare_pairs
from sdrm_core.privacy.verdicts import SIGNIFICANT, Figure, GateVerdict, Verdict, strictest

# Levels of "training users are struck more often than held-out ones" where real people strike one another less often
# than synthetic users do: two findings of different make agree, so the weaker need not carry the proof alone.
_CONFIRMED_UNIQUE = 0.15
_CONFIRMED_NEAR = 0.10
_CERTAIN = 0.001  # of long complete records that recur: any odds that tell training from held-out users are proof


def judge_unique_copies(evidence: Evidence, config: PrivacyConfig) -> GateVerdict:
    """Judge synthetic users that equal a set which exactly one person holds."""
    sentences = {
        Verdict.PASS: "The release repeats no more complete records of single people than chance would.",
        Verdict.FAIL: "The release contains complete records of single people the model was trained on.",
        Verdict.INCONCLUSIVE: "Whether complete records of single people recur cannot be told yet.",
    }
    return _judge_copies(
        "unique_copies",
        unique_copies(evidence),
        evidence,
        margin=config.margins.unique_copies,
        confirmed=_CONFIRMED_UNIQUE,
        sentences=sentences,
        suspicion="Some complete records of single people recur; whether by chance cannot be told yet.",
    )


def judge_near_copies(evidence: Evidence, config: PrivacyConfig) -> GateVerdict:
    """Judge synthetic users closer to a training user than people normally are to one another."""
    sentences = {
        Verdict.PASS: "Hardly any synthetic user is closer to a person than people normally are to one another.",
        Verdict.FAIL: "The release contains slightly altered records of people the model was trained on.",
        Verdict.INCONCLUSIVE: "Whether slightly altered records of people are among them cannot be told yet.",
    }
    return _judge_copies(
        "near_copies",
        near_copies(evidence),
        evidence,
        margin=config.margins.near_copies,
        confirmed=_CONFIRMED_NEAR,
        sentences=sentences,
        suspicion="Some synthetic users are very close to people; whether by chance cannot be told yet.",
    )


def judge_closer_to_train(evidence: Evidence, config: PrivacyConfig, draw: np.random.Generator) -> GateVerdict:
    """Judge whether synthetic users lie nearer to training users than to people never seen."""
    estimate, among_real = measure_closeness(evidence, draw)
    n = evidence.synthetic.shape[0]
    figure = Figure.judged("share closer to train", estimate, n=n, margin=config.margins.closer_to_train, null=0.5)
    sentences = {
        Verdict.PASS: "Synthetic users are hardly closer to the people trained on than to people the model never saw.",
        Verdict.FAIL: "Synthetic users are systematically closer to the people the model was trained on.",
        Verdict.INCONCLUSIVE: "Whether synthetic users are closer to the people trained on cannot be told yet.",
    }
    return _verdict("closer_to_train", (figure,), sentences, evidence, {"share_among_real": among_real})


def judge_membership(evidence: Evidence, config: PrivacyConfig, draw: np.random.Generator) -> GateVerdict:
    """Judge whether an attacker who knows a person's items can tell that the person was trained on."""
    measured, margins, n = measure_membership(evidence, draw), config.margins, len(evidence.is_train)
    level = SIGNIFICANT / len(measured)  # three looks at the same question
    figures = tuple(
        Figure.judged(name, measured[name], n=n, margin=margin, null=null, significance=level)
        for name, margin, null in (
            ("auc", margins.membership_auc, 0.5),
            ("tpr", margins.membership_tpr, FALSE_POSITIVE_RATE),
            ("rare taste auc", margins.rare_taste_auc, 0.5),
        )
    )
    sentences = {
        Verdict.PASS: "Someone who knows a person's items can hardly tell from the release if the person took part.",
        Verdict.FAIL: "Someone who knows a person's items can tell from the release that the person took part.",
        Verdict.INCONCLUSIVE: "Whether participation can be inferred from the release cannot be told yet.",
    }
    return _verdict("membership", figures, sentences, evidence, {"auc": 0.5, "tpr": FALSE_POSITIVE_RATE})


def judge_rare_pairs(evidence: Evidence, config: PrivacyConfig, draw: np.random.Generator) -> GateVerdict:
    """Judge whether rare combinations of items of training users turn up more than those of others."""
    found = measure_rare_pairs(evidence, k_anonymity=config.k_anonymity, draw=draw)
    figure = Figure.judged("exposure odds", found.odds, n=found.n_users, margin=config.margins.rare_pairs, null=1.0)
    at_the_edge = measure_edge_pairs(evidence, k_anonymity=config.k_anonymity)
    edge = Figure.judged(
        "edge pairs odds", at_the_edge.odds, n=at_the_edge.n_users, margin=MOST_ODDS, null=1.0, is_tolerated=False
    )  # too few people have such pairs for a bound to mean much: only a significant finding counts
    sentences = {
        Verdict.PASS: "Rare combinations of items turn up hardly more for people trained on than for others.",
        Verdict.FAIL: "The release exposes rare combinations of items that point at people trained on.",
        Verdict.INCONCLUSIVE: "Whether rare combinations of items are exposed cannot be told yet.",
    }
    n_items = evidence.everyone.shape[1]
    some = f"Pairs of a random {found.n_items:,} of {n_items:,} items were looked at."
    looked_at = some if found.n_items < n_items else ""
    return _verdict("rare_pairs", (figure, edge), sentences, evidence, {"odds_ratio": 1.0}, looked_at=looked_at)


def judge_completion(evidence: Evidence, config: PrivacyConfig, draw: np.random.Generator) -> GateVerdict:
    """Judge whether a recommender trained on the release knows more about people trained on."""
    found = measure_completion(evidence, draw)
    figure = Figure.judged("recall@20 gain", found.gain, n=found.n_users, margin=config.margins.completion)
    sentences = {
        Verdict.PASS: "What people trained on would hide can be guessed hardly better than what others would hide.",
        Verdict.FAIL: "What people trained on would hide can be guessed from the release better than for others.",
        Verdict.INCONCLUSIVE: "Whether hidden items of people trained on can be guessed better cannot be told yet.",
    }
    baseline = {"holdout_recall": found.holdout_recall, "items_attacked": float(found.n_items)}
    n_holdout = int((~evidence.is_train).sum())
    some = f"A random {MAX_USERS:,} of {n_holdout:,} held-out users were attacked; more of them would not tell."
    would_tell = some if n_holdout > MAX_USERS else ""
    n_items = evidence.everyone.shape[1]
    popular = f"Only the {found.n_items:,} most popular of {n_items:,} items were looked at."
    looked_at = popular if found.n_items < n_items else ""
    return _verdict("completion", (figure,), sentences, evidence, baseline, would_tell=would_tell, looked_at=looked_at)


def _judge_copies(
    gate: PrivacyGate,
    copies: Copies,
    evidence: Evidence,
    *,
    margin: float,
    confirmed: float,
    sentences: dict[Verdict, str],
    suspicion: str,
) -> GateVerdict:
    """Copies of persons are not tolerated in any number: a significant finding fails whatever the margin.

    However few they are among many synthetic users, those that look like leaks do not pass. Many copies of one person
    tell nothing of the others: they are looked for by themselves.

    Args:
        gate: ``unique_copies`` or ``near_copies``.
        copies: what was found.
        evidence: the users compared.
        margin: share of copies tolerated while nothing is proven.
        confirmed: level of significance where the synthetic users look suspicious beside people.
        sentences: the answers.
        suspicion: said instead of INCONCLUSIVE's where they do.
    """
    is_one = copies.p_one_person < SIGNIFICANT
    estimate = replace(copies.share, p_value=copies.p_one_person if is_one else copies.p_versus_holdout)
    level = 1.0 if copies.p_recurrence < _CERTAIN else confirmed if copies.confirmed else SIGNIFICANT
    name, n = gate.replace("_", " "), copies.n_synthetic
    figure = Figure.judged(
        name,
        estimate,
        n=n,
        margin=margin,
        significance=level,
        is_tolerated=False,
        is_suspicious=copies.is_suspicious,
    )
    if copies.confirmed:
        sentences = sentences | {Verdict.INCONCLUSIVE: suspicion}
    baseline = {"real_rate": copies.real_rate, "p_versus_real": copies.p_versus_real}
    would_tell = _what_tells_copies(copies, figure, evidence)
    return _verdict(gate, (figure,), sentences, evidence, baseline, would_tell=would_tell)


def _what_tells_copies(copies: Copies, figure: Figure, evidence: Evidence) -> str:
    """Return what more it would take: proof against chance hangs on the held-out users, the bound on the synthetic."""
    if copies.confirmed:
        n_holdout = int((~evidence.is_train).sum())
        return f"There were {n_holdout:,} held-out users; more of them would tell."
    needed = figure.users_needed(figure.n) if figure.n == evidence.released.shape[0] else None
    tell = f"about {needed:,} would tell" if needed else "more of them alone would not tell"
    were = "was 1 synthetic user" if figure.n == 1 else f"were {figure.n:,} synthetic users"
    return f"There {were}{'' if needed else ' compared'}; {tell}."


def _verdict(
    gate: PrivacyGate,
    figures: tuple[Figure, ...],
    sentences: dict[Verdict, str],
    evidence: Evidence,
    baseline: dict[str, float],
    *,
    would_tell: str = "",
    looked_at: str = "",
) -> GateVerdict:
    deciding = strictest(figures)
    sentence, needed = sentences[deciding.verdict], None
    if deciding.verdict == Verdict.INCONCLUSIVE and would_tell:
        sentence = f"{sentence} {would_tell}"
    elif deciding.verdict == Verdict.INCONCLUSIVE:
        n_holdout = int((~evidence.is_train).sum())
        needs = [one.users_needed(n_holdout) for one in figures if one.verdict == Verdict.INCONCLUSIVE]
        needed = None if None in needs else max(filter(None, needs))
        tell = f"about {needed:,} held-out users would tell" if needed else "more held-out users alone would not tell"
        sentence = f"{sentence} There were {n_holdout:,} held-out users; {tell}."
    return GateVerdict(
        gate=gate,
        verdict=deciding.verdict,
        sentence=f"{sentence} {looked_at}".rstrip(),
        figures=(deciding, *(figure for figure in figures if figure is not deciding)),
        holdout_needed=needed,
        baseline={name: value for name, value in baseline.items() if isfinite(value)},
    )
