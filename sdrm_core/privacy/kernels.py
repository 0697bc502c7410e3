"""The compiled loops of the privacy gates. Numba infers the types, so only the docstrings describe them."""

# mypy: disable-error-code="no-untyped-def"
# ruff: noqa: ANN001, ANN202, ANN201, PLR0917

import numpy as np

from sdrm_core.loops import compiled


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
def count_hits(scores, starts, items, is_target, own_share, k):
    """Return for each row how many of its target items rank among the best ``k`` of the items that were not given.

    scores: (n_rows, n_items), changed in place; from a target's score ``own_share`` is first subtracted, the user's own
    contribution. Each other item with an equal score counts as half an item ahead.
    """
    n_rows, n_items = scores.shape
    hits = np.zeros(n_rows)
    for row in range(n_rows):
        for place in range(starts[row], starts[row + 1]):
            if is_target[place]:
                scores[row, items[place]] -= own_share[place]
            else:
                scores[row, items[place]] = -np.inf
        for place in range(starts[row], starts[row + 1]):
            if is_target[place]:
                own = scores[row, items[place]]
                ahead, equal = 0, 0
                for item in range(n_items):
                    ahead += scores[row, item] > own
                    equal += scores[row, item] == own
                hits[row] += ahead + (equal - 1) / 2 < k
    return hits
