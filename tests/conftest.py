"""What several kinds of test need: a small night that takes seconds, and Prefect without its start-up each time."""

import os
from pathlib import Path

os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")

import pytest

import flows  # noqa: F401 - sets Prefect's environment before Prefect is imported
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
def prefect_server(tmp_path_factory):
    """Give the session one temporary Prefect server of its own, whose address it returns, and a place for results.

    Flows send no heartbeats: to end the thread that sends them takes each flow most of a second.
    """
    from prefect.settings import (
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOCAL_STORAGE_PATH,
        get_current_settings,
        temporary_settings,
    )
    from prefect.testing.utilities import prefect_test_harness

    results = {PREFECT_LOCAL_STORAGE_PATH: tmp_path_factory.mktemp("results"), PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    with temporary_settings(results), prefect_test_harness(server_startup_timeout=120):
        yield get_current_settings().api.url
