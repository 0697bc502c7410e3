"""The statistical gates: they turn each measurement into a verdict with a sentence that explains it."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from math import isfinite

import numpy as np

from sdrm_core.config import PrivacyConfig, PrivacyGate
from sdrm_core.privacy.attacks import FALSE_POSITIVE_RATE, measure_membership
from sdrm_core.privacy.closeness import measure_closeness
from sdrm_core.privacy.completion import measure_completion
from sdrm_core.privacy.copies import Copies
from sdrm_core.privacy.evidence import Evidence
from sdrm_core.privacy.hidden import MAX_USERS
from sdrm_core.privacy.near_copies import measure_contained_records, measure_near_copies
from sdrm_core.privacy.rare_pairs import MOST_ODDS, measure_edge_pairs, measure_rare_pairs
from sdrm_core.privacy.unique_copies import measure_unique_copies
from sdrm_core.privacy.verdicts import SIGNIFICANT, Figure, GateVerdict, Verdict, about, fail_closed, strictest
from sdrm_core.threads import one_blas_thread

OF_COPIES: tuple[PrivacyGate, ...] = ("unique_copies", "near_copies")
"""Their tests are valid for any number of held-out users: few of them can prove a leak, but not its absence."""

# Significance level of "training users are struck (hit by a synthetic user) more often than held-out users", used if
# synthetic users also hit real users more often than real users hit each other: two different findings then agree.
_CONFIRMED_LEVEL: dict[PrivacyGate, float] = {"unique_copies": 0.15, "near_copies": 0.10}
_CERTAIN = 0.001  # below this p-value of recurring long records, any odds ratio of 1.5 or more is proof

_SENTENCES: dict[PrivacyGate, dict[Verdict, str]] = {
    "unique_copies": {
        Verdict.PASS: "The release repeats hardly more complete records of individual people than chance explains.",
        Verdict.FAIL: "The release contains complete records of individual people the model was trained on.",
        Verdict.INCONCLUSIVE: "It cannot be decided whether the release repeats complete records of individual people.",
    },
    "near_copies": {
        Verdict.PASS: "Hardly any synthetic user is more like a real person than real people are like one another.",
        Verdict.FAIL: "The release contains records of people the model was trained on, slightly altered or among "
        "other items.",
        Verdict.INCONCLUSIVE: "It cannot be decided whether the release contains slightly altered records of people, "
        "or records among other items.",
    },
    "closer_to_train": {
        Verdict.PASS: "Synthetic users are hardly more like the people the model was trained on than like "
        "other people.",
        Verdict.FAIL: "Synthetic users are systematically more like the people the model was trained on "
        "than like other people.",
        Verdict.INCONCLUSIVE: "It cannot be decided whether synthetic users are more like the people the model was "
        "trained on.",
    },
    "membership": {
        Verdict.PASS: "Someone who knows a person's items can hardly tell whether the model was trained on "
        "that person.",
        Verdict.FAIL: "Someone who knows a person's items can tell from the release whether the model was "
        "trained on that person.",
        Verdict.INCONCLUSIVE: "It cannot be decided whether the release reveals which people the model was trained on.",
    },
    "rare_pairs": {
        Verdict.PASS: "The release exposes rare combinations of items of people the model was trained on "
        "hardly more than those of others.",
        Verdict.FAIL: "The release exposes rare combinations of items that point to people the model was trained on.",
        Verdict.INCONCLUSIVE: "It cannot be decided whether the release exposes rare combinations of items.",
    },
    "completion": {
        Verdict.PASS: "Unknown items can be guessed hardly better for people the model was trained on than "
        "for other people.",
        Verdict.FAIL: "From the release, unknown items can be guessed better for people the model was "
        "trained on than for others.",
        Verdict.INCONCLUSIVE: "It cannot be decided whether unknown items can be guessed better for people the "
        "model was trained on.",
    },
}
# Used for INCONCLUSIVE where synthetic users hit real users more often than real users hit each other.
_SUSPICIONS: dict[PrivacyGate, str] = {
    "unique_copies": "Some complete records of individual people recur; it cannot be decided whether by chance.",
    "near_copies": "Some synthetic users are very similar to real people; it cannot be decided whether by chance.",
}


def judged(
    names: Iterable[PrivacyGate],
    evidence: Evidence,
    config: PrivacyConfig,
    *,
    draw_for: Callable[[PrivacyGate], np.random.Generator],
) -> dict[PrivacyGate, GateVerdict]:
    """Return the verdicts of the named statistical gates; a gate that cannot be computed fails.

    Args:
        names: the gates.
        evidence: the compared users.
        config: margins and limits.
        draw_for: returns a separate random stream for each gate.
    """
    judges: dict[PrivacyGate, Callable[[np.random.Generator], GateVerdict]] = {
        "unique_copies": lambda _: judge_unique_copies(evidence, config),
        "near_copies": lambda _: judge_near_copies(evidence, config),
        "closer_to_train": partial(judge_closer_to_train, evidence, config),
        "membership": partial(judge_membership, evidence, config),
        "rare_pairs": partial(judge_rare_pairs, evidence, config),
        "completion": lambda _: judge_completion(evidence, config),
    }
    with one_blas_thread():  # for hundreds of small least-squares problems, threads would only wait for each other
        return {name: fail_closed(name, partial(judges[name], draw_for(name))) for name in names}


def judge_unique_copies(evidence: Evidence, config: PrivacyConfig) -> GateVerdict:
    """Judge synthetic users that equal an item set that exactly one real user has."""
    measured = {"unique copies": measure_unique_copies(evidence)}
    return _judge_copies("unique_copies", measured, evidence, margin=config.margins.unique_copies)


def judge_near_copies(evidence: Evidence, config: PrivacyConfig) -> GateVerdict:
    """Judge synthetic users that are closer to a training user, or contain more of one, than real users normally do."""
    measured = {
        "near copies": measure_near_copies(evidence),
        "contained records": measure_contained_records(evidence),
    }
    return _judge_copies("near_copies", measured, evidence, margin=config.margins.near_copies)


def judge_closer_to_train(evidence: Evidence, config: PrivacyConfig, draw: np.random.Generator) -> GateVerdict:
    """Judge whether synthetic users are nearer to training users than to held-out users."""
    estimate, among_real = measure_closeness(evidence, draw)
    n = evidence.synthetic.shape[0]
    figure = Figure.judged("share closer to train", estimate, n=n, margin=config.margins.closer_to_train, null=0.5)
    return _verdict("closer_to_train", (figure,), evidence, {"share_among_real": among_real})


def judge_membership(evidence: Evidence, config: PrivacyConfig, draw: np.random.Generator) -> GateVerdict:
    """Judge whether an attacker who knows a person's items can infer that this person was in the training set."""
    measured, margins, n = measure_membership(evidence, draw), config.margins, len(evidence.people.is_train)
    level = SIGNIFICANT / (len(measured) - 1)  # Bonferroni: five tests of one question; turned round asks another
    figures = tuple(
        Figure.judged(name, measured[name], n=n, margin=margin, null=null, significance=level)
        for name, margin, null in (
            ("auc", margins.membership_auc, 0.5),
            ("tpr", margins.membership_tpr, FALSE_POSITIVE_RATE),
            ("rare taste auc", margins.rare_taste_auc, 0.5),
            ("auc turned round", margins.membership_auc, 0.5),
            ("most active auc", margins.most_active_auc, 0.5),
            ("auc of all at once", margins.all_attacks_auc, 0.5),
        )
    )
    return _verdict("membership", figures, evidence, {"auc": 0.5, "tpr": FALSE_POSITIVE_RATE})


def judge_rare_pairs(evidence: Evidence, config: PrivacyConfig, draw: np.random.Generator) -> GateVerdict:
    """Judge whether rare item pairs of training users appear in the release more often than those of held-out users."""
    found = measure_rare_pairs(evidence, k_anonymity=config.k_anonymity, draw=draw)
    figure = Figure.judged("exposure odds", found.odds, n=found.n_users, margin=config.margins.rare_pairs, null=1.0)
    at_the_edge = measure_edge_pairs(evidence, k_anonymity=config.k_anonymity)
    edge = Figure.judged(
        "edge pairs odds", at_the_edge.odds, n=at_the_edge.n_users, margin=MOST_ODDS, null=1.0, is_tolerated=False
    )  # few people may have such pairs, so the upper bound says little: only significance counts
    n_items = evidence.people.everyone.shape[1]
    some = f"Only pairs of a random {found.n_items:,} of {n_items:,} items were examined."
    looked_at = some if found.n_items < n_items else ""
    if not found.n_users and not at_the_edge.n_users and not looked_at:
        looked_at = "No combination of items is rare enough here to identify a person."
    # The more people there are, the fewer pairs are rare: no number of held-out users would decide.
    would_tell = "Too few people have such a combination to compare them." if found.are_unknown else ""
    return _verdict(
        "rare_pairs", (figure, edge), evidence, {"odds_ratio": 1.0}, would_tell=would_tell, looked_at=looked_at
    )


def judge_completion(evidence: Evidence, config: PrivacyConfig) -> GateVerdict:
    """Judge whether a recommender trained on the release predicts hidden items better for training users."""
    found = measure_completion(evidence)
    figure = Figure.judged("recall@20 gain", found.gain, n=found.n_users, margin=config.margins.completion)
    baseline = {"holdout_recall": found.holdout_recall, "items_attacked": float(found.n_items)}
    n_holdout = evidence.people.n_holdout
    some = f"A random {MAX_USERS:,} of {about(n_holdout)} held-out users were attacked; more would not help to decide."
    would_tell = found.why_unknown or (some if n_holdout > MAX_USERS else "")
    n_items = evidence.people.everyone.shape[1]
    popular = f"Only the {found.n_items:,} most popular of {n_items:,} items were examined."
    looked_at = popular if found.n_items < n_items else ""
    return _verdict("completion", (figure,), evidence, baseline, would_tell=would_tell, looked_at=looked_at)


def _judge_copies(gate: PrivacyGate, measured: dict[str, Copies], evidence: Evidence, *, margin: float) -> GateVerdict:
    """Judge copies of single people, measured in one or more ways; the strictest answer counts.

    Args:
        gate: name of the gate.
        measured: the copies by name of the figure.
        evidence: the compared users.
        margin: the largest share of the synthetic users that passes.
    """
    figures = tuple(_figure_of_copies(name, copies, gate, margin=margin) for name, copies in measured.items())
    deciding = strictest(figures)
    copies = measured[deciding.name]
    return _verdict(
        gate,
        figures,
        evidence,
        {"real_rate": copies.real_rate, "p_versus_real": copies.p_versus_real},
        doubt=_SUSPICIONS[gate] if copies.confirmed else "",
        would_tell=_what_tells_copies(copies, deciding, evidence),
    )


def _figure_of_copies(name: str, copies: Copies, gate: PrivacyGate, *, margin: float) -> Figure:
    """Judge one figure: a significant finding fails whatever the margin, because no copy is tolerated.

    Suspicious hits do not pass, however small their share of the synthetic users is. Many copies of one person count
    as one struck person in the comparison of training and held-out users, so they have a separate test.
    """
    is_one = copies.p_one_person < SIGNIFICANT
    estimate = replace(copies.share, p_value=copies.p_one_person if is_one else copies.p_versus_holdout)
    level = SIGNIFICANT
    if copies.p_recurrence < _CERTAIN:
        level = 1.0
    elif copies.confirmed:
        level = _CONFIRMED_LEVEL[gate]
    return Figure.judged(
        name,
        estimate,
        n=copies.n_synthetic,
        margin=margin,
        significance=level,
        is_tolerated=False,
        is_suspicious=copies.is_suspicious,
    )


def _what_tells_copies(copies: Copies, figure: Figure, evidence: Evidence) -> str:
    """Return the sentence that says what would decide the case: more held-out users, or more synthetic users.

    Proof against chance depends on the number of held-out users, the upper bound on the number of synthetic users.
    """
    if copies.is_blind:
        return "Real people are so like one another here that slightly altered records would look like other people."
    if copies.confirmed:
        n_holdout = evidence.people.n_holdout
        return f"There were {about(n_holdout)} held-out users; a decision needs more of them."
    needed = figure.users_needed(figure.n) if figure.n == evidence.released.shape[0] else None
    tell = f"a decision needs about {needed:,}" if needed else "more of them alone would not be enough to decide"
    were = "was 1 synthetic user" if figure.n == 1 else f"were {figure.n:,} synthetic users"
    return f"There {were}{'' if needed else ' compared'}; {tell}."


def _verdict(
    gate: PrivacyGate,
    figures: tuple[Figure, ...],
    evidence: Evidence,
    baseline: dict[str, float],
    *,
    doubt: str = "",
    would_tell: str = "",
    looked_at: str = "",
) -> GateVerdict:
    """Return the gate's answer in words: the verdict of the strictest figure.

    Args:
        gate: name of the gate.
        figures: the judged figures.
        evidence: the compared users.
        baseline: values of real users and other useful values that are not judged.
        doubt: replaces the gate's own sentence for INCONCLUSIVE.
        would_tell: replaces the number of held-out users needed, for INCONCLUSIVE.
        looked_at: added for every verdict, if only a part of the data was examined.
    """
    deciding = strictest(figures)
    sentence, needed = _SENTENCES[gate][deciding.verdict], None
    if deciding.verdict == Verdict.INCONCLUSIVE:
        if not would_tell:
            n_holdout = evidence.people.n_holdout
            needs = [one.users_needed(n_holdout) for one in figures if one.verdict == Verdict.INCONCLUSIVE]
            needed = None if None in needs else max(filter(None, needs))
            tell = (
                f"a decision needs about {needed:,}" if needed else "more of them alone would not be enough to decide"
            )
            would_tell = f"There were {about(n_holdout)} held-out users; {tell}."
        sentence = f"{doubt or sentence} {would_tell}"
    return GateVerdict(
        gate=gate,
        verdict=deciding.verdict,
        sentence=f"{sentence} {looked_at}".rstrip(),
        figures=(deciding, *(figure for figure in figures if figure is not deciding)),
        holdout_needed=needed,
        baseline={name: value for name, value in baseline.items() if isfinite(value)},
    )
