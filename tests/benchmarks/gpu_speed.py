"""The model's stages on the CPU and on the GPU, side by side in one run.

python -m tests.benchmarks.gpu_speed [--users 20000] [--items 25000] [--sample 50000]
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import PipelineConfig
from sdrm_core.model.fitting import fit_sdrm
from sdrm_core.model.pretraining import train_vae
from sdrm_core.privacy.leak import leak_against
from sdrm_core.privacy.similarity import nearest
from sdrm_core.quality.usefulness import usefulness_for
from tests.benchmarks.large_night import simulated_log

Result = TypeVar("Result")
GPU = torch.device("cuda")
SETTINGS = {
    "vae": {"max_epochs": 5, "epoch_steps": 30},
    "diffusion": {"max_epochs": 5},
    "sampling": {"temperature": 1.0, "temperature_by_activity": False, "margin_rounds": 8, "pair_rounds": 8},
}


def simulated_users(n_users: int, n_items: int) -> csr_matrix:
    log = simulated_log(n_users, n_items, seed=1)
    places = tuple(log.column(name).to_numpy() for name in ("user_id", "item_id"))
    users = csr_matrix((np.ones(log.num_rows, np.float32), places), shape=(n_users, n_items))
    users.sort_indices()
    return users


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    began = time.perf_counter()
    result = work()
    torch.cuda.synchronize()
    return time.perf_counter() - began, result


def stages(users: csr_matrix, device: torch.device, *, n_sampled: int) -> dict[str, float]:
    """Return the seconds of each stage."""
    config = PipelineConfig.model_validate(SETTINGS)
    n_train = int(users.shape[0] * 0.9)
    train, validation = users[:n_train], users[n_train:]
    settings = {"device": device, "on_epoch": lambda _: None}
    seconds: dict[str, float] = {}
    seconds["pretrain"], (vae, _) = timed(partial(train_vae, train, validation, config=config.vae, seed=0, **settings))
    measures = {"leak": leak_against, "usefulness": usefulness_for}
    fit = partial(fit_sdrm, vae, train, validation, config=config, **measures, **settings)
    seconds["diffuse"], (model, *_) = timed(fit)
    for resolution in ("full", "multi"):
        sample = partial(model.sample, seed=1, resolution=resolution, batch_users=config.compute.batch_users)
        seconds[f"sample {resolution}"], made = timed(partial(sample, 0, n_sampled))
    compare = partial(nearest, made[: len(validation.indptr) - 1], train, k=5, device=device)
    seconds["neighbours"], _ = timed(compare)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=25_000)
    parser.add_argument("--sample", type=int, default=50_000)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no GPU is visible here")
    users = simulated_users(arguments.users, arguments.items)
    stages(users[:2_000], GPU, n_sampled=1_000)  # compiles, loads kernels
    torch.cuda.reset_peak_memory_stats()
    on_gpu = stages(users, GPU, n_sampled=arguments.sample)
    peak = torch.cuda.max_memory_allocated() / 2**20
    print(f"{torch.cuda.get_device_name()} and {torch.get_num_threads()} threads; GPU memory at most {peak:,.0f} MiB")
    on_cpu = stages(users, torch.device("cpu"), n_sampled=arguments.sample)
    print(f"{'stage':>14}{'CPU, s':>10}{'GPU, s':>10}{'ratio':>9}")
    for stage, seconds in on_cpu.items():
        print(f"{stage:>14}{seconds:10.2f}{on_gpu[stage]:10.2f}{seconds / on_gpu[stage]:8.1f} x", flush=True)


if __name__ == "__main__":
    main()
