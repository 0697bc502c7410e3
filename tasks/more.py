"""Draw more users from a model that is already trained. No gate checks these users, so they are not a release."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from scipy.sparse import csr_matrix

from sdrm_core.config import ComputeConfig, PathsConfig, PrivacyGate, Resolution
from sdrm_core.errors import ArtifactError, ConfigError, DataError, Problem
from sdrm_core.model.devices import resolve_device
from sdrm_core.model.folder import DESCRIPTION, is_model, load_item_ids
from sdrm_core.model.sdrm import SdrmModel
from sdrm_core.privacy.verdicts import Verdict
from sdrm_core.randomness import numpy_stream, stream_seed
from sdrm_core.storage import (
    DEAD_AFTER_SECONDS,
    parse_json,
    private_directory,
    remove_temporary,
    sha256_of,
    sync,
    temporary_beside,
    write_json,
)
from tasks.gates.suites import privacy_fact
from tasks.preflight import require_space, require_there, unwritable
from tasks.release.history import LATEST, MANIFEST, release_at
from tasks.release.interactions import new_user_ids, write_interactions
from tasks.stage import LOG
from tasks.working_directory import gate_reports_on, models_of, run_directory

_LAST_GATE = "release"


def sample_more(
    source: Path, *, users: int, out: Path, resolution: Resolution, seed: int = 0, work: Path | None = None
) -> Path:
    """Write ``users`` synthetic users into the new directory ``out``: Parquet files and ``sample.json``.

    Args:
        source: a model folder, a run's working directory, or a release whose run is still in ``work``.
        users: number of users.
        out: must not exist yet; it appears only when it is complete.
        resolution: ``full``: all diffusion steps for each user; otherwise a random number of steps.
        seed: another seed gives other users. Random streams differ from those of the release, whatever the seed.
        work: directory of the runs' working directories; None: the default of the configuration.

    Raises:
        ConfigError: ``out`` is inside a release or a data set's folder of releases.
        DataError: no model is found, ``out`` exists or cannot be written, or the disk is too small.
    """
    folder = model_folder(source, work=work or PathsConfig().work)
    _require_new(out)
    model = SdrmModel.load(folder, device=resolve_device("auto"))
    require_space(out.parent, users=users, interactions_per_user=float(model.activity.mean()))
    stream, digest = stream_seed(seed, "more"), sha256_of(folder / DESCRIPTION)
    remove_temporary(out.parent.glob(".*"), idle_seconds=DEAD_AFTER_SECONDS)  # of samples that were killed
    staging = temporary_beside(out)
    try:
        private_directory(staging)
        files = write_interactions(
            staging / "interactions",
            _shards(model, users=users, seed=stream, resolution=resolution),
            user_ids=new_user_ids(users, numpy_stream(stream, "user_ids", digest, users, resolution)),
            item_ids=load_item_ids(folder),
        )
        facts = {"users": users, "resolution": resolution, "seed": seed, "model": digest}
        facts |= {"gates": judgement(folder, source=source)}
        write_json(staging / "sample.json", facts | {"files": [file.model_dump(mode="json") for file in files]})
        sync(staging)
        staging.rename(out)
        sync(out.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return out


def judgement(folder: Path, *, source: Path) -> str:
    """Describe what is known about the privacy of these users; warn if their model's own users did not pass every gate.

    Args:
        folder: the model.
        source: where the model was found. The manifest of a release has the gates' verdicts; for anything else, those
            in the run's folder count. They are missing there until the run, perhaps a repeated one, is judged.
    """
    verdicts, missed = _published_verdicts(release_at(source)) or _verdicts_of_run(folder)
    refused_by = ", ".join(gate for gate, verdict in verdicts.items() if verdict != Verdict.PASS)
    told = [f"were refused by gate {refused_by}"] if refused_by else []
    told += [f"did not pass {', '.join(missed)}"] if missed else []
    told += ["were not judged to the end"] if not told and _LAST_GATE not in verdicts else []
    if not told:
        return "none: no gate has judged these users"
    of_its_run = f"the users of the run that trained the model {' and '.join(told)}"
    LOG.warning("these users may expose real people: %s", of_its_run)
    return f"none: no gate has judged these users, and {of_its_run}"


def _published_verdicts(release: Path) -> tuple[dict[str, str], list[str]] | None:
    """Return the gates' verdicts of a release, and the privacy gates it did not pass; None if it is not a release."""
    with suppress(ArtifactError, AttributeError, KeyError, TypeError):
        manifest = parse_json(release / MANIFEST)
        gates, privacy = (_verdicts(part["gates"]) for part in (manifest, manifest["privacy"]))
        return gates, [gate for gate, verdict in privacy.items() if verdict != Verdict.PASS]
    return None


def _verdicts_of_run(model: Path) -> tuple[dict[str, str], list[str]]:
    """Return the gates' verdicts of the run beside its model, and the privacy gates that did not pass.

    These include gates that the configuration accepts or only reports.
    """
    reports = gate_reports_on(model)
    results = reports.get(_LAST_GATE, {}).get("results", ())
    unmet = {result["column"] for result in results if not result["success"]}
    return _verdicts(reports), [gate for gate in get_args(PrivacyGate) if privacy_fact(gate) in unmet]


def _verdicts(gates: Mapping[str, Any]) -> dict[str, str]:
    return {name: gate["verdict"] for name, gate in gates.items()}


def model_folder(source: Path, *, work: Path) -> Path:
    """Return the model folder for a path: a model folder itself, a run's last model, or the model of a release.

    If the path is the folder of all releases of a data set, the latest release is meant.
    """
    require_there(source)
    source = release_at(source)
    for folder in (source, *models_of(source), *_models_of_release(source, work)):
        if (folder / DESCRIPTION).is_file():
            return folder
    if releases := sorted(latest.parent for latest in source.glob(f"*/{LATEST}")):
        raise DataError(Problem(str(source), "is not a release", f"Name one, e.g. {releases[0]}"))
    raise DataError(
        Problem(
            str(source),
            "contains no trained model, and the model that made it is not, or no longer, in the working directory",
            f"Give the model folder of a run, or say with --work where the working directories are (searched: {work})",
        )
    )


def _models_of_release(release: Path, work: Path) -> Iterator[Path]:
    """Yield the folder of the model that made ``release``, if it is still in its run's working directory."""
    if not (release / MANIFEST).is_file():
        return
    manifest = parse_json(release / MANIFEST)
    with suppress(KeyError, TypeError):  # a file of that name that the pipeline did not write
        for folder in models_of(run_directory(work, manifest["run"])):
            if is_model(folder, manifest["model"]["sha256"]):
                yield folder


def _require_new(out: Path) -> None:
    if shared := next((folder for folder in out.absolute().parents if _is_shared(folder)), None):
        raise ConfigError(
            f"--out: {out}, for users that no gate has judged, lies in {shared}, which holds releases. "
            "Name a directory elsewhere"
        )
    if out.exists():
        raise DataError(Problem(str(out), "exists already", "Name a new directory"))
    if problem := unwritable(out.parent, name="--out", is_private=False):
        raise DataError(problem)


def _is_shared(folder: Path) -> bool:
    """Return whether the folder is a release, a data set's folder of releases, or the folder of all data sets."""
    return _has_release(folder) or any(_has_release(latest.parent) for latest in folder.glob(f"*/{LATEST}"))


def _has_release(folder: Path) -> bool:
    """Return whether the folder is a release, or a data set's folder of releases."""
    with suppress(ArtifactError, TypeError):  # no such files, or some that the pipeline did not write
        return {"run", "model"} <= set(parse_json(release_at(folder) / MANIFEST))
    return False


def _shards(model: SdrmModel, *, users: int, seed: int, resolution: Resolution) -> Iterator[csr_matrix]:
    compute = ComputeConfig()
    for start, stop in model.shards(users, about=compute.shard_users):
        yield model.sample(start, stop, seed=seed, resolution=resolution, batch_users=compute.batch_users)
