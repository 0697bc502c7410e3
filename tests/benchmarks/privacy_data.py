"""The real data sets of the privacy benchmarks, as (users, items) matrices of positives."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix


def movielens_1m(folder: Path) -> csr_matrix:
    return to_matrix(pd.read_parquet(folder / "ml-1m-positives.parquet"))


def digital_music(folder: Path) -> csr_matrix:
    """Amazon Digital Music, the authors' three splits pooled (their user ids count from 0 within each split)."""
    ratings = pd.read_parquet(folder / "adm-authors-splits.parquet").query("positive")
    user = ratings.groupby(["split", "user_id"], observed=True).ngroup()
    return to_matrix(ratings.assign(user_id=user))


def movielens_100k(folder: Path, *, min_positives: int = 5) -> csr_matrix:
    """Ratings of 4 and 5, after the repeated filter of users and items."""
    names = ["user_id", "item_id", "rating", "timestamp"]
    ratings = pd.read_csv(folder / "ml-100k-u.data", sep="\t", names=names).query("rating >= 4")
    before = -1
    while before != len(ratings):
        before = len(ratings)
        for column in ("user_id", "item_id"):
            ratings = ratings[ratings.groupby(column)[column].transform("size") >= min_positives]
    return to_matrix(ratings)


def to_matrix(pairs: pd.DataFrame) -> csr_matrix:
    user, _ = pd.factorize(pairs["user_id"], sort=True)
    item, _ = pd.factorize(pairs["item_id"], sort=True)
    matrix = csr_matrix((np.ones(len(pairs), np.float32), (user, item)))
    matrix.sort_indices()
    return matrix
