"""Draw synthetic users from a fitted model, one shard (a file with some of the users) at a time."""

import numpy as np
from scipy.sparse import csr_matrix, vstack

from sdrm_core.model.devices import resolve_device
from sdrm_core.model.sdrm import SdrmModel
from sdrm_core.randomness import numpy_stream, stream_seed
from sdrm_core.records import Counts
from sdrm_core.storage import read_user_items, write_user_items
from tasks.matrix import users_wanted
from tasks.records import FittedModel, Run, Samples, UserItemMatrix
from tasks.release.interactions import new_user_ids
from tasks.resumable import finished_once
from tasks.stage import Meter, stage
from tasks.working_directory import samples_directory


@stage("sample")
@finished_once
def sample(run: Run, matrix: UserItemMatrix, model: FittedModel, *, attempt: int) -> Samples:
    """Draw all synthetic users of an attempt; only one shard is in memory at a time."""
    with Meter("sample", attempt=attempt) as meter:
        n_users = users_wanted(run.config, matrix)
        folder = samples_directory(run.directory, attempt=attempt)
        fitted = SdrmModel.load(model.folder, device=resolve_device(run.config.compute.device))
        shards, interactions, occurs = [], 0, np.zeros(matrix.counts.items, bool)
        for number, (start, stop) in enumerate(fitted.shards(n_users, about=run.config.compute.shard_users)):
            user_items = fitted.sample(
                start,
                stop,
                seed=stream_seed(run.config.seed, "sample", attempt),
                resolution=run.config.sampling.resolution,
                batch_users=run.config.compute.batch_users,
            )
            shards.append(write_user_items(folder / f"shard-{number:05d}.npz", user_items))
            interactions += user_items.nnz
            occurs[user_items.indices] = True
    meter.save(run)
    counts = Counts.of(users=n_users, items=int(occurs.sum()), interactions=interactions)
    return Samples(attempt=attempt, model=model.sha256, shards=tuple(shards), counts=counts)


def synthetic_users(samples: Samples) -> csr_matrix:
    """Return all synthetic users of the shards as one (n_users, n_items) matrix."""
    return csr_matrix(vstack([read_user_items(shard)[0] for shard in samples.shards]))


def synthetic_user_ids(run: Run, samples: Samples) -> np.ndarray:
    """Return the (n_users,) ids with which the synthetic users are published, in the order of the shards.

    The ids depend on the run's digest, the model and the attempt: other data, settings, roles or code that change the
    model give other ids.
    """
    draw = numpy_stream(run.config.seed, "user_ids", run.digest, samples.model, samples.attempt)
    return new_user_ids(samples.counts.users, draw)
