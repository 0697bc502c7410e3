"""The compiled loops of the privacy gates. Numba infers the types, so only the docstrings describe them."""

# mypy: disable-error-code="no-untyped-def"
# ruff: noqa: ANN001, ANN202, ANN201, PLR0917

import numpy as np

from sdrm_core.loops import compiled

N_FOLDS = 3
"""Folds of a division: two are given, the other is hidden."""


@compiled
def _keep(user, similarity, indices, similarities):
    """Insert a user into one row of the k best, sorted by descending similarity, then by ascending user."""
    slot = len(indices) - 1
    while slot > 0 and (
        similarity > similarities[slot - 1] or (similarity == similarities[slot - 1] and user < indices[slot - 1])
    ):
        indices[slot] = indices[slot - 1]
        similarities[slot] = similarities[slot - 1]
        slot -= 1
    indices[slot] = user
    similarities[slot] = similarity


@compiled
def _score_all(overlap, own_weight, r_weight, indices, similarities):
    """Score every reference user in row order; return the sum of the similarities and of their fourth powers."""
    total, total_fourth, worst = 0.0, 0.0, 0.0
    for user in range(len(overlap)):
        shared = overlap[user]
        jaccard = shared / (own_weight + r_weight[user] - shared)
        square = jaccard * jaccard
        total += jaccard
        total_fourth += square * square
        if jaccard > worst:  # users come in ascending order, so an equal one never displaces an earlier one
            _keep(user, jaccard, indices, similarities)
            worst = similarities[-1]
    return total, total_fourth


@compiled
def _score_touched(touched, overlap, own_weight, r_weight, indices, similarities):
    """Score only the listed users, in any order; otherwise like ``_score_all``."""
    total, total_fourth, worst = 0.0, 0.0, 0.0
    for user in touched:
        shared = overlap[user]
        if shared == 0:
            continue  # the query user itself
        jaccard = shared / (own_weight + r_weight[user] - shared)
        square = jaccard * jaccard
        total += jaccard
        total_fourth += square * square
        if jaccard > worst or (jaccard == worst and user < indices[-1]):
            _keep(user, jaccard, indices, similarities)
            worst = similarities[-1]
    return total, total_fourth


@compiled
def _touch(items, p_starts, p_users, weights, overlap, touched):
    """Add up the weight shared with each reference user; list the users that share an item and return their number."""
    n_touched = 0
    for item in items:
        weight = weights[item]
        for place in range(p_starts[item], p_starts[item + 1]):
            user = p_users[place]
            if overlap[user] == 0:
                touched[n_touched] = user
                n_touched += 1
            overlap[user] += weight
    return n_touched


@compiled
def nearest_rows(start, stop, queries, postings, weights, own, found):
    """Fill the rows [start, stop) of ``found``.

    queries: (row starts, items, summed weights) of the query users.
    postings: (item starts, users, summed weights by user) of the reference users.
    found: (index, similarity, mean, density); the last two receive sums.

    Row starts and users are unsigned: with signed indices numba would check for Python's negative indexing, at half
    the speed.
    """
    q_starts, q_items, q_weight = queries
    p_starts, p_users, r_weight = postings
    index, similarity, mean, density = found
    n_reference = len(r_weight)
    overlap = np.zeros(n_reference, weights.dtype)
    touched = np.empty(n_reference, np.uint32)
    for row in range(start, stop):
        items = q_items[q_starts[row] : q_starts[row + 1]]
        n_products = 0
        for item in items:
            n_products += p_starts[item + 1] - p_starts[item]
        if n_products >= n_reference:  # most users share an item: visiting all is cheaper than listing those that do
            for item in items:
                weight = weights[item]
                for place in range(p_starts[item], p_starts[item + 1]):
                    overlap[p_users[place]] += weight
            if own[row] >= 0:
                overlap[own[row]] = 0
            sums = _score_all(overlap, q_weight[row], r_weight, index[row], similarity[row])
            overlap[:] = 0
        else:
            n_touched = _touch(items, p_starts, p_users, weights, overlap, touched)
            if own[row] >= 0:
                overlap[own[row]] = 0
            sums = _score_touched(touched[:n_touched], overlap, q_weight[row], r_weight, index[row], similarity[row])
            for user in touched[:n_touched]:
                overlap[user] = 0
        mean[row], density[row] = sums


@compiled
def share_closer(index, similarity, is_holdout, miss):
    """Return the mean over rows of P(nearest in T' is nearer than nearest in H) + P(equally near) / 2.

    index, similarity: (n, k) neighbours among T ∪ H, nearest first. T are the training users, H the held-out users,
    T' a random subset of T of H's size. ``miss[a]`` is the chance that T' contains none of ``a`` given users of T, so
    the average over all T' is exact, not sampled.
    """
    total = 0.0
    n_rows, k = index.shape
    for row in range(n_rows):
        ahead, slot = 0, 0
        share = -1.0
        while slot < k and index[row, slot] >= 0 and share < 0:
            end, n_train, n_holdout = slot, 0, 0
            while end < k and index[row, end] >= 0 and similarity[row, end] == similarity[row, slot]:
                if is_holdout[index[row, end]]:
                    n_holdout += 1
                else:
                    n_train += 1
                end += 1
            if n_holdout > 0:
                share = 1 - miss[ahead] + (miss[ahead] - miss[ahead + n_train]) / 2
            ahead += n_train
            slot = end
        total += share if share >= 0 else 1 - miss[ahead] / 2
    return total / n_rows


@compiled
def rarest_pairs(start, stop, first, lists, together, release, found):
    """Update ``found`` for the users [start, stop) with the pairs of one block of items; blocks come in order.

    first: the block's first item.
    lists: (item starts, users), (row starts, items), both ascending.
    together: two (n_block_items, n_items) co-occurrence counts, of real and of synthetic users; only pairs whose second
        item is greater are read.
    release: (n_items,) synthetic users that have an item, and the number of synthetic users: they give the chance that
        a pair occurs if items were independent.
    found: (n_users,) the smallest co-occurrence count of a user's pairs, and (n_users, 3) the number of pairs with that
        count, how many of them are exposed, and how many would be exposed by chance.

    The loop goes item by item, not user by user: a row of ``together`` stays in the cache.
    """
    ((p_starts, p_users), (u_starts, u_items)), (popularity, n_synthetic), (fewest, sums) = lists, release, found
    for row in range(len(together[0])):
        item, people, synthetic = first + row, together[0][row], together[1][row]
        holders = p_users[p_starts[item] : p_starts[item + 1]]
        for user in holders[np.searchsorted(holders, start) : np.searchsorted(holders, stop)]:
            items = u_items[u_starts[user] : u_starts[user + 1]]
            least, n_pairs, n_exposed, n_chance = fewest[user], sums[user, 0], sums[user, 1], sums[user, 2]
            for other in items[np.searchsorted(items, item) + 1 :]:
                if people[other] <= least:
                    if people[other] < least:
                        least = people[other]
                        n_pairs, n_exposed, n_chance = 0.0, 0.0, 0.0
                    n_pairs += 1
                    n_exposed += synthetic[other] > 0
                    n_chance -= np.expm1(-popularity[item] * popularity[other] / n_synthetic)
            fewest[user] = least
            sums[user, 0], sums[user, 1], sums[user, 2] = n_pairs, n_exposed, n_chance


@compiled
def complete(start, stop, users, folds, weights, own_pair, k, recall):
    """Write the users' recall@k in [start, stop): each fold of a division is hidden once and ranked by the other two.

    users: (row starts, items).
    folds: (n_divisions, nnz) the fold of each stored item, less than ``N_FOLDS``.
    weights: (n_items, n_items); row i is added to the scores of a user who was given item i.
    own_pair: (n_items,) the user itself contributes own_pair[i] * own_pair[j] to weights[i, j]; this is subtracted.
    recall: (n_users,) hits in all folds, divided by the most that were possible.

    All divisions are scored together: a row of ``weights`` is read once per user, not once per fold.
    """
    starts, items = users
    n_divisions, n_items = len(folds), len(weights)
    by_fold = np.empty((n_divisions, N_FOLDS, n_items), weights.dtype)  # what the items of each fold add to the scores
    own_by_fold = np.empty((n_divisions, N_FOLDS), weights.dtype)
    scores = np.empty(n_items, weights.dtype)
    for row in range(start, stop):
        held, held_folds = items[starts[row] : starts[row + 1]], folds[:, starts[row] : starts[row + 1]]
        by_fold[:], own_by_fold[:] = 0, 0
        for place, item in enumerate(held):
            for division in range(n_divisions):
                _add(weights[item], by_fold[division, held_folds[division, place]])
                own_by_fold[division, held_folds[division, place]] += own_pair[item]
        n_hits, n_possible = 0, 0
        for division in range(n_divisions):
            for fold in range(N_FOLDS):
                one, other = (fold + 1) % N_FOLDS, (fold + 2) % N_FOLDS
                scores[:] = by_fold[division, one] + by_fold[division, other]
                own = own_by_fold[division, one] + own_by_fold[division, other]
                is_hidden = held_folds[division] == fold
                for item, hides in zip(held, is_hidden):  # noqa: B905  (numba knows no strict)
                    scores[item] = scores[item] - own * own_pair[item] if hides else -np.inf
                n_hits += _n_ranked(scores, held[is_hidden], k)
                n_possible += min(is_hidden.sum(), k)
        recall[row] = n_hits / n_possible


@compiled
def _add(row, total):
    for item in range(len(total)):
        total[item] += row[item]


@compiled
def _n_ranked(scores, targets, k):
    """Return how many of the targets are among the best ``k``; other items with an equal score count half."""
    least = largest(scores, k)[0]
    ahead, equal = 0, 0
    for score in scores:
        ahead += score > least
        equal += score == least
    is_least_ranked = ahead + (equal - 1) / 2 < k
    n_ranked = 0
    for target in targets:
        n_ranked += scores[target] > least or (scores[target] == least and is_least_ranked)
    return n_ranked


@compiled
def largest(values, n):
    """Return the ``n`` largest values (or all) as a heap, the smallest of them first; fast if ``n`` is small."""
    n = min(n, len(values))
    heap = values[:n].copy()
    for place in range(n // 2 - 1, -1, -1):
        _sift_down(heap, place)
    for value in values[n:]:
        if value > heap[0]:
            heap[0] = value
            _sift_down(heap, 0)
    return heap


@compiled
def _sift_down(heap, place):
    value, child = heap[place], 2 * place + 1
    while child < len(heap):
        if child + 1 < len(heap) and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[place] = heap[child]
        place, child = child, 2 * child + 1
    heap[place] = value
