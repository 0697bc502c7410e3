"""A whole night on a large simulated log: where its time goes, what memory it takes, how it ends.

python -m tests.benchmarks.large_night --out DIR [--users 150000] [--items 25000] [--set KEY=VALUE ...]
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

GROUPS = 60  # of users with a taste of their own; everybody belongs to two
MEAN_ITEMS = 60.0


def simulated_log(n_users: int, n_items: int, *, seed: int) -> pa.Table:
    """Return events of users who mix the tastes of two groups, in random order, each pair once."""
    rng = np.random.default_rng(seed)
    popularity = (np.arange(1, n_items + 1) + 20.0) ** -0.9
    tastes = np.cumsum(popularity * np.exp(rng.normal(0, 1.5, (GROUPS, n_items))), axis=1)
    tastes /= tastes[:, -1:]
    counts = np.clip(rng.lognormal(np.log(MEAN_ITEMS) - 0.5, 1.0, n_users), 5, n_items / 20)
    share = rng.beta(2, 2, n_users)
    keys = []
    for part in (share, 1 - share):
        group, drawn = rng.integers(GROUPS, size=n_users), np.maximum(counts * part, 1).round().astype(np.int64)
        for number, taste in enumerate(tastes):
            users = np.flatnonzero(group == number)
            users = np.repeat(users, drawn[users])
            keys.append(users * n_items + np.minimum(np.searchsorted(taste, rng.random(len(users))), n_items - 1))
    pairs = rng.permutation(np.unique(np.concatenate(keys)))
    return pa.table({"user_id": pairs // n_items, "item_id": pairs % n_items})


def report(release: Path) -> None:
    """Print what the manifest says of the night."""
    manifest = json.loads((release / "manifest.json").read_text())
    for name, stage in manifest["stages"].items():
        print(f"{name:24}{stage['seconds']:10.1f} s{stage['peak_rss_mb']:10,} MiB")
    model = manifest["model"]
    print(f"temperature {model['temperature']}, by activity: {model['temperature_by_activity']}")
    print(f"attempts {manifest['attempts']}")
    for name, figure in manifest["fidelity"]["figures"].items():
        print(f"{name:28}", *(figure[column] for column in ("synthetic", "holdout", "popularity_sampler")))
    for judge, arms in manifest["utility"]["judges"].items():
        print(f"{judge}: recall@10 over that of real users {arms['synthetic']['recall@10']['ratio']}")
    print({gate: found["verdict"] for gate, found in manifest["privacy"]["gates"].items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a new directory for log, work and releases")
    parser.add_argument("--users", type=int, default=150_000)
    parser.add_argument("--items", type=int, default=25_000)
    parser.add_argument("--set", dest="settings", nargs="*", default=[], help="settings of the run")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True)
    log = arguments.out / "log.parquet"
    pq.write_table(simulated_log(arguments.users, arguments.items, seed=1), log)
    settings = ["dataset=large", "source.feedback=implicit", "source.columns.rating=null", *arguments.settings]
    command = [sys.executable, "-m", "flows.cli", "run", "deployments/template.yaml", "--source", str(log)]
    command += ["--releases", str(arguments.out / "releases"), "--work", str(arguments.out / "work")]
    command += [part for setting in settings for part in ("--set", setting)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"the night ended with exit code {ended.returncode}")
    report(Path(ended.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
