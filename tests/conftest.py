"""What several kinds of test need: a small night that takes seconds, and Prefect without its start-up each time."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")

import pytest

import flows  # noqa: F401 - sets Prefect's environment before Prefect is imported
from flows.server import LocalServer
from sdrm_core.config import PipelineConfig

SMALL_NIGHT = {
    "dataset": "small",
    "vae": {"hidden_units": 64, "latent_dim": 16, "max_epochs": 10},
    "diffusion": {"hidden_units": 64, "depth": 1, "max_epochs": 4, "epoch_steps": 20, "reverse_steps": 4},
    "sampling": {"temperature": 0.8, "margin_rounds": 4, "margin_users": 512, "refining_rounds": 1},
    "utility": {"fold_seeds": 2, "bootstrap_draws": 100},
    "privacy": {  # a model that has learned next to nothing is judged, but what is tested is the night around it
        "attempts": 1,
        "accept_inconclusive": ["unique_copies", "near_copies"],
        "report_only": ["closer_to_train", "membership", "rare_pairs", "completion"],
    },
    "gates": {"release": {"min_svd_recall_ratio": 0.2, "min_popularity_spearman": 0.3}},
}


def small_night(directory: Path, **sections: dict) -> PipelineConfig:
    """Return a configuration that trains next to nothing; ``sections`` are merged into it."""
    tree = {name: dict(section) if isinstance(section, dict) else section for name, section in SMALL_NIGHT.items()}
    for name, section in sections.items():
        tree[name] = {**tree.get(name, {}), **section} if isinstance(section, dict) else section
    tree["paths"] = {"releases": str(directory / "releases"), "work": str(directory / "work")}
    return PipelineConfig.model_validate(tree)


@pytest.fixture(scope="session")
def prefect_database(tmp_path_factory) -> Path:
    """Return a new Prefect database to copy; to create one takes ten seconds."""
    directory = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        directory = directory.parent  # of all workers
    database = directory / "prefect.db"
    with (directory / ".prefect-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not database.exists():
            home = tmp_path_factory.mktemp("new-prefect")
            create = [Path(sys.executable).with_name("prefect"), "server", "database", "upgrade", "-y"]
            subprocess.run(create, env=os.environ | {"PREFECT_HOME": str(home)}, check=True, capture_output=True)
            (home / "prefect.db").rename(database)
    return database


@pytest.fixture(scope="session")
def prefect_server(prefect_database, tmp_path_factory) -> Iterator[str]:
    """Give the session one Prefect server of its own, with a place for results, and return its address.

    Flows send no heartbeats: to end the thread that sends them takes each flow most of a second.
    """
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOCAL_STORAGE_PATH,
        temporary_settings,
    )

    home = tmp_path_factory.mktemp("prefect")
    shutil.copy(prefect_database, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(home))
        server = LocalServer(pages=False)
    with server:
        server.wait()
        settings = {PREFECT_API_URL: f"{server.url}/api", PREFECT_LOCAL_STORAGE_PATH: home / "results"}
        with temporary_settings({**settings, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield settings[PREFECT_API_URL]
