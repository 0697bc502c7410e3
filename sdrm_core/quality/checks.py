"""The checks that every measure makes on its matrices first."""

from collections.abc import Mapping

from scipy.sparse import csr_matrix

from sdrm_core.errors import DataError, Problem


def require_comparable(*, train: csr_matrix, made: Mapping[str, csr_matrix], **others: csr_matrix) -> None:
    """Raise an error if matrices cannot be compared with the training users.

    Args:
        train: (n_users, n_items), the real training users.
        made: synthetic users by name, over the same items; at least one user each. Users may be empty.
        **others: further real users by name, over the same items.

    Raises:
        DataError: lists every problem found.
    """
    problems = []
    for name, matrix in {"train": train, **others, **made}.items():
        if matrix.shape[1] != train.shape[1]:
            what = f"has {matrix.shape[1]} items, the training users have {train.shape[1]}"
            problems.append(Problem(f"{name} users", what, "Use matrices over one and the same catalogue"))
        if (name == "train" and not matrix.nnz) or (name in made and not matrix.shape[0]):
            what = f"{matrix.shape[0]} users hold no interaction at all"
            problems.append(Problem(f"{name} users", what, "There is nothing to measure; check the stage before"))
    if problems:
        raise DataError(problems)
