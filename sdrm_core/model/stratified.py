"""Latin hypercube samples: statistics over users vary less, but each single user has the same distribution."""

from collections.abc import Sequence
from itertools import count
from math import isqrt

import numpy as np
import torch
from torch import Tensor

from sdrm_core.loops import compiled

_LEAST = 2.0**-24  # keeps logarithms and normal quantiles of the numbers finite


def stratified_uniform(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Return a Latin hypercube sample (n_users, n_columns) in (0, 1): within a column no two users share a stratum.

    In every column a user's stratum is a random affine function of the user's number, modulo a prime. So one user's
    numbers are uniform and independent, and every pair of users has the same joint distribution. The numbers of two
    columns are uncorrelated, but not independent: with equal factors they go together for all users.

    Args:
        shape: numbers of users and columns.
        generator: on the device where the sample is to be.

    Source: McKay, Beckman and Conover 1979, "A Comparison of Three Methods for Selecting Values of Input Variables".
    """
    n_users, n_columns = shape
    n_strata = _prime_from(n_users)
    factors = torch.randint(1, n_strata, (n_columns,), generator=generator, device=generator.device)
    shifts = torch.randint(n_strata, (n_columns,), generator=generator, device=generator.device)
    uniform = torch.rand(shape, generator=generator, device=generator.device)
    if uniform.is_cpu:
        spread_by_loops(uniform.numpy(), shifts.int().numpy(), factors.int().numpy(), n_strata)
    else:
        spread_by_tensors(uniform, shifts, factors, n_strata)
    return uniform.clamp_(_LEAST, 1 - _LEAST)


@compiled
def spread_by_loops(uniform: np.ndarray, strata: np.ndarray, factors: np.ndarray, n_strata: int) -> None:
    """Move each number into its user's stratum, in place; avoids the modulo operation, the slowest part on tensors."""
    for user in range(uniform.shape[0]):
        for column in range(uniform.shape[1]):
            stratum = strata[column]
            uniform[user, column] = (uniform[user, column] + np.float32(stratum)) / np.float32(n_strata)
            stratum += factors[column]
            strata[column] = stratum - n_strata if stratum >= n_strata else stratum


def spread_by_tensors(uniform: Tensor, shifts: Tensor, factors: Tensor, n_strata: int) -> None:
    """Do the same as ``spread_by_loops`` with tensor operations, equal to the last bit."""
    strata = torch.arange(uniform.shape[0], device=uniform.device).unsqueeze(1) * factors
    strata += shifts
    strata %= n_strata
    uniform.add_(strata).div_(n_strata)


def _prime_from(least: int) -> int:
    """Return the smallest prime that is at least ``least``."""
    return next(n for n in count(max(least, 2)) if all(n % divisor for divisor in range(2, isqrt(n) + 1)))
