"""The gates that count exactly, without a statistical estimate: hygiene, k-anonymous items, mean dissimilarity."""

import numpy as np
from scipy import stats
from scipy.sparse import csr_matrix

from sdrm_core.data.matrix import item_popularity
from sdrm_core.privacy.evidence import Evidence
from sdrm_core.privacy.verdicts import GateVerdict, Verdict

_ORDER_SIGNIFICANCE = 1e-6  # one false alarm in a million releases; a real ordering has a far smaller p-value


def judge_hygiene(
    synthetic: csr_matrix, user_ids: np.ndarray, previous_ids: np.ndarray | None, evidence: Evidence
) -> GateVerdict:
    """Check that ids are new and unique, that no user is empty, and that rows and ids do not follow the training rows.

    Args:
        synthetic: (n_synthetic, n_items).
        user_ids: (n_synthetic,) ids as released, in row order.
        previous_ids: (n,) ids of the previous release; None: there is none.
        evidence: gives the nearest training user of each synthetic user, to check the order of the rows.
    """
    user_ids, previous_ids = _of_one_type(user_ids, user_ids[:0] if previous_ids is None else previous_ids)
    problems = []
    has_id_each = len(user_ids) == synthetic.shape[0]
    if not has_id_each:
        problems.append(f"there are {len(user_ids):,} ids for {synthetic.shape[0]:,} synthetic users")
    if len(np.unique(user_ids)) != len(user_ids):
        problems.append("some ids occur more than once")
    if np.isin(user_ids, previous_ids).any():
        problems.append("some ids of the previous release are used again, which links the two releases")
    if (np.diff(synthetic.indptr) == 0).any():
        problems.append("some synthetic users have no items")
    train_rows = _nearest_train_rows(evidence)
    if _is_ordered(train_rows):
        problems.append("the rows follow the order of the training rows, which links synthetic users to training users")
    if has_id_each and _is_ordered(train_rows[np.argsort(user_ids[evidence.synthetic_row])]):
        problems.append("the ids follow the order of the training rows, which links synthetic users to training users")
    if problems:
        return GateVerdict(gate="hygiene", verdict=Verdict.FAIL, sentence=f"{'; '.join(problems).capitalize()}.")
    sentence = (
        "Every synthetic user has items and a new, unique id; "
        "neither the rows nor the ids follow the order of the training rows."
    )
    return GateVerdict(gate="hygiene", verdict=Verdict.PASS, sentence=sentence)


def _of_one_type(*ids: np.ndarray) -> list[np.ndarray]:
    """Return all ids as numbers if all are numbers, else as text; otherwise 12 and "12" would not be found equal."""
    arrays = [np.asarray(some) for some in ids]
    are_numbers = all(np.issubdtype(some.dtype, np.number) for some in arrays)
    return arrays if are_numbers else [some.astype(str) for some in arrays]


def judge_k_anonymity(synthetic: csr_matrix, train: csr_matrix, *, k: int) -> GateVerdict:
    """Check that at least ``k`` training users have each item that the release contains."""
    holders = item_popularity(train)
    published = item_popularity(synthetic) > 0
    n_rare = int((published & (holders < k)).sum())
    if n_rare:
        what = "1 published item is" if n_rare == 1 else f"{n_rare:,} published items are"
        sentence = f"{what} held by fewer than {k} training users. Such an item may point to one of these users."
        return GateVerdict(gate="k_anonymous_items", verdict=Verdict.FAIL, sentence=sentence)
    sentence = f"Every published item is held by at least {k} training users."
    return GateVerdict(gate="k_anonymous_items", verdict=Verdict.PASS, sentence=sentence)


def judge_dissimilarity(evidence: Evidence, *, minimum: float) -> GateVerdict:
    """Compare mean 1 - Jaccard over all pairs of a synthetic and a real user with a minimum.

    It measures sparsity, not privacy: a verbatim copy of the data has nearly the same value. The same mean among real
    users is the baseline.
    """
    dissimilarity = 1 - float(evidence.synthetic_to_real.mean.mean())
    is_enough = dissimilarity >= minimum
    among_real = 1 - float(evidence.people.complete_to_complete.mean.mean())
    sentence = (
        f"On average, synthetic users differ from real users {'at least as much as' if is_enough else 'less than'} "
        "the configuration requires. This measures how sparse the data are; alone it proves nothing about privacy."
    )
    return GateVerdict(
        gate="dissimilarity",
        verdict=Verdict.PASS if is_enough else Verdict.FAIL,
        sentence=sentence,
        baseline={"synthetic_to_real": dissimilarity, "real_to_real": among_real, "minimum": minimum},
    )


def _nearest_train_rows(evidence: Evidence) -> np.ndarray:
    """(n_compared,) training row of each synthetic user's nearest real user; -1 if that is no training user."""
    nearest = evidence.synthetic_to_real.index[:, 0]
    return np.where(nearest >= 0, evidence.people.train_row[nearest], -1)


def _is_ordered(train_rows: np.ndarray) -> bool:
    """Whether the rows show more order than shuffled rows would: a trend, neighbours alike, or a period.

    Sources: Spearman's correlation for the trend; Bartels 1982, "The Rank Version of von Neumann's Ratio Test for
    Randomness", for the neighbours; Fisher 1929, "Tests of Significance in Harmonic Analysis", for the period.
    """
    is_train = train_rows >= 0
    ranks = stats.rankdata(train_rows[is_train])
    n = len(ranks)
    if n < 30 or ranks.min() == ranks.max():
        return False
    ratio = np.square(np.diff(ranks)).sum() / (n * ranks.var())
    around_mean = np.zeros(len(train_rows))  # the others keep their places, or they would blur a period
    around_mean[is_train] = ranks - ranks.mean()
    power = np.square(np.abs(np.fft.rfft(around_mean)))[1 : (len(train_rows) + 1) // 2]
    chances = (
        stats.spearmanr(np.arange(n), ranks).pvalue,
        stats.norm.cdf((ratio - 2) * np.sqrt(n) / 2),
        len(power) * (1 - power.max() / power.sum()) ** (len(power) - 1),
    )
    return bool(min(chances) < _ORDER_SIGNIFICANCE)
