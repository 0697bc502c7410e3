"""A small release to render: every figure measured on simulated users by the product's own functions."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from sdrm_core.config import PipelineConfig, PrivacyGate
from sdrm_core.model.training import EpochReport
from sdrm_core.privacy.judge import judge_privacy
from sdrm_core.privacy.verdicts import PrivacyReport
from sdrm_core.quality.baselines import sample_by_popularity
from sdrm_core.quality.fidelity import FidelityReport, measure_fidelity
from sdrm_core.quality.utility import UtilityReport, measure_utility
from sdrm_core.records import Artifact, Counts, SourceFacts
from sdrm_core.storage import write_json
from tasks.records import FileFacts, FittedModel, Measures, Run, Samples, UserItemMatrix
from tasks.release.manifest import build_manifest

SETTINGS = {
    "utility": {"fold_seeds": 2, "bootstrap_draws": 100},
    "privacy": {"accept_inconclusive": list(get_args(PrivacyGate))},  # so few users tell little
}


def render_inputs(
    folder: Path,
    *,
    n_validation: int = 30,
    n_holdout: int = 40,
    n_evaluation: int = 40,
    uri: str = "embedded",
    rows: int = 5000,
    source: Counts | None = None,
    expected_sha256: str | None = None,
    secret: bytes | None = None,
) -> dict[str, Any]:
    """Return the arguments of ``render_report``: ``manifest``, ``curves``, ``n_validation`` and ``privacy``."""
    dataset = "demo" if uri == "embedded" else "shop"
    config = PipelineConfig.model_validate(
        {**SETTINGS, "dataset": dataset, "source": {"uri": uri, "sha256": expected_sha256}}
    )
    users, synthetic = simulated_users(300), synthetic_users()
    fidelity, privacy = _against_holdout(n_holdout)
    utility = _utility(n_evaluation)
    full = privacy.model_dump(mode="json")
    run = Run(config=config, directory=folder, digest="0" * 64)
    for stage, seconds in {"ingest": 0.21, "pretrain": 75.4, "measure_utility": 12.6}.items():
        write_json(folder / "stages" / f"{stage}.json", {"seconds": seconds, "peak_rss_mb": 412, "cached": False})
    met = {"rule": "users is at least 100", "why": "to hide among", "severity": "critical", "success": True}
    for gate in ("raw_interactions", "matrix", "synthetic", "release"):
        write_json(folder / "gates" / f"{gate}.json", {"gate": gate, "verdict": "PASS", "results": [met, met]})
    nothing = Artifact(path=folder / "nothing", sha256="a" * 64)
    manifest = build_manifest(
        run,
        secret=secret,
        source=SourceFacts(uri=uri, sha256="b" * 64, rows=rows),
        matrix=UserItemMatrix(
            user_items=nothing,
            items=nothing,
            counts=source or counts(users),
            users_by_role={"train": 200, "validation": n_validation, "holdout": n_holdout, "evaluation": n_evaluation},
            has_secret_roles=True,
        ),
        model=FittedModel(
            folder=folder,
            files=(nothing,),
            curve=nothing,
            temperature=1.1,
            temperature_is_found=True,
            temperature_by_activity=True,
            doubt=0.0,
            is_sparse=False,
            item_pairs=12,
        ),
        samples=Samples(attempt=0, model=nothing.sha256, shards=(), counts=counts(synthetic)),
        measures=Measures(
            fidelity=write_json(folder / "fidelity.json", fidelity.model_dump(mode="json")),
            utility=write_json(folder / "utility.json", utility.model_dump(mode="json")),
            privacy=write_json(folder / "privacy.json", full),
        ),
        files=[FileFacts(path=Path("interactions/part-00000.parquet"), sha256="c" * 64, rows=2345, bytes=12_345)],
        item_type=pa.string(),
        created_at=datetime(2026, 11, 23, 1, 30, tzinfo=UTC),
    )
    return {"manifest": manifest, "curves": training_curves(), "n_validation": n_validation, "privacy": full}


@cache
def synthetic_users() -> csr_matrix:
    return sample_by_popularity(simulated_users(300)[:200], users=200, seed=2)


@cache
def _against_holdout(n_holdout: int) -> tuple[FidelityReport, PrivacyReport]:
    """Measure once what takes seconds; the tests spoil what is made of it."""
    users, config = simulated_users(300), PipelineConfig.model_validate(SETTINGS)
    train, holdout = users[:200], users[200 : 200 + n_holdout]
    fidelity = measure_fidelity(synthetic_users(), train=train, holdout=holdout, k_anonymity=1, seed=0)
    privacy = judge_privacy(
        synthetic_users(),
        train,
        holdout,
        user_ids=np.arange(200),
        previous_ids=None,
        config=config.privacy,
        seed=0,
    )
    return fidelity, privacy


@cache
def _utility(n_evaluation: int) -> UtilityReport:
    users, config = simulated_users(300), PipelineConfig.model_validate(SETTINGS)
    return measure_utility(
        synthetic_users(),
        train=users[:200],
        validation=users[240:260],
        evaluation=users[260 : 260 + n_evaluation],
        config=config.utility,
        seed=0,
    )


@cache
def simulated_users(n_users: int, *, n_items: int = 50) -> csr_matrix:
    """Return users who take 5 to 14 items, popular ones more often."""
    generator = np.random.default_rng(0)
    dense = np.zeros((n_users, n_items), np.float32)
    weights = 1 / (3 + np.arange(n_items))
    for row in dense:
        row[generator.choice(n_items, size=generator.integers(5, 15), replace=False, p=weights / weights.sum())] = 1
    return csr_matrix(dense)


def counts(user_items: csr_matrix) -> Counts:
    return Counts.of(users=user_items.shape[0], items=user_items.shape[1], interactions=user_items.nnz)


def training_curves() -> dict[str, list[dict[str, Any]]]:
    """Return what the two training stages hand over; item margins are fitted within the second."""
    return {
        "vae": _falling("vae", epochs=12, of_epochs=200),
        "diffusion": _falling("diffusion", epochs=30, of_epochs=60) + _falling("margins", epochs=20, of_epochs=20),
    }


def _falling(stage: str, *, epochs: int, of_epochs: int) -> list[dict[str, Any]]:
    losses = [1 + 1 / epoch for epoch in range(1, epochs + 1)]
    return [
        EpochReport(stage=stage, epoch=epoch, of_epochs=of_epochs, loss=loss, validation=loss, best=loss).model_dump()
        for epoch, loss in enumerate(losses, start=1)
    ]
