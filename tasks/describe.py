"""Describe a release, a sample, a model or a run's folder; check that data files and models are unchanged."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sdrm_core.errors import ArtifactError, DataError, Problem
from sdrm_core.model.devices import resolve_device
from sdrm_core.model.folder import DESCRIPTION
from sdrm_core.model.sdrm import SdrmModel
from sdrm_core.storage import parse_json, parse_json_files
from tasks.gates.evaluation import told
from tasks.preflight import require_there
from tasks.records import GateReport
from tasks.release.history import LATEST, MANIFEST
from tasks.release.interactions import written_files
from tasks.wording import QUALITY_GATES, counted, doubting, ordered
from tasks.working_directory import CONFIG, gate_reports, stages_directory


def describe(path: Path) -> str:
    """Return a description of the directory ``path`` as text.

    Raises:
        DataError: the path does not exist, or is not a directory of a kind that can be described.
        ArtifactError: a file is missing or changed.
    """
    require_there(path)
    described: dict[str, Callable[[Path], str]] = {
        MANIFEST: _describe_release,
        "sample.json": _describe_sample,
        DESCRIPTION: _describe_model,
        CONFIG: _describe_run,
        LATEST: lambda folder: _describe_release(folder / parse_json(folder / LATEST)["version"]),
    }
    told = next((tell for name, tell in described.items() if (path / name).is_file()), None)
    with suppress(AttributeError, KeyError, TypeError, ValueError):  # a file that the pipeline did not write so
        if told:
            return told(path)
    raise DataError(
        Problem(
            str(path),
            "is not a release, a sample, a model folder or a run's folder in paths.work",
            "Give the path of one of these",
        )
    )


def _describe_release(path: Path) -> str:
    manifest = parse_json(path / MANIFEST)
    _require_intact(path, manifest["files"], remedy="Restore the published file, or stop using this release")
    counts, source = manifest["synthetic_counts"], manifest["source_counts"]
    verdicts = ordered({**manifest["gates"]}, QUALITY_GATES)
    gates = ", ".join(f"{name} {gate['verdict']}" for name, gate in verdicts.items())
    return "\n".join(
        [
            f"release {manifest['dataset']} {manifest['version']}",
            f"synthetic: {_size(counts)}",
            f"source:    about {_size(source)}",
            f"model:     {_model(manifest['model'])}",
            f"roles:     {manifest['roles']}, {counted(manifest['attempts'], 'attempt')}",
            f"gates:     {gates}",
            f"privacy:   {privacy_in_words(manifest['privacy'])}",
            _intact(manifest["files"]),
        ]
    )


def _require_intact(path: Path, files: Sequence[Mapping[str, Any]], *, remedy: str) -> None:
    try:
        written = written_files(path, files)
    except ArtifactError as error:
        raise ArtifactError(f"{error}. {remedy}") from None
    if foreign := sorted({*(path / "interactions").rglob("*")}.difference(written)):
        raise ArtifactError(
            f"{foreign[0]} is not part of the release, but whoever reads the folder also reads this file. Move it away"
        )


def _intact(files: Sequence[Mapping[str, Any]]) -> str:
    """Return the line about the data files, whose digests were checked; card, report and manifest have no digests."""
    return f"files:     {counted(len(files), 'data file')}, all digests match the recorded ones"


def _describe_sample(path: Path) -> str:
    sample = parse_json(path / "sample.json")
    _require_intact(path, sample["files"], remedy="Draw the sample again")
    rows = sum(file["rows"] for file in sample["files"])
    return "\n".join(
        [
            f"sample {path}",
            f"synthetic: {counted(sample['users'], 'user')}, {counted(rows, 'interaction')}, "
            f"{sample['resolution']} resolution, "
            f"seed {sample['seed']}",
            f"gates:     {sample['gates']}",
            _intact(sample["files"]),
        ]
    )


def privacy_in_words(privacy: Mapping[str, Any]) -> str:
    """Return which privacy gates the release did not pass, and whether each is only reported or accepted."""
    missed = {name: gate["verdict"] for name, gate in privacy["gates"].items() if gate["verdict"] != "PASS"}
    reported = set(privacy["report_only"])
    told = [
        f"{name} {verdict} ({'only reported' if name in reported else 'accepted'})" for name, verdict in missed.items()
    ]
    return f"not passed: {', '.join(told)}" if told else "every gate passed"


def _describe_model(path: Path) -> str:
    model = SdrmModel.load(path, device=resolve_device("cpu"))
    return "\n".join(
        [
            f"model {path}",
            f"catalogue: {model.vae.n_items:,} items, {len(model.publishable):,} of which may be published",
            f"activity:  {model.activity.mean():.1f} items per user on average",
            f"sampling:  temperature {model.temperature:g}{_for_whom(model.usual_count is not None)}, "
            f"{counted(model.offsets.n_pairs, 'item pair')} with an offset",
            "files:     all digests match the recorded ones",
        ]
    )


def _describe_run(path: Path) -> str:
    config = parse_json(path / CONFIG)
    stages, gates = parse_json_files(stages_directory(path)), ordered(gate_reports(path), QUALITY_GATES)
    return "\n".join(
        [
            f"run {path}",
            f"dataset:   {config['dataset']}, seed {config['seed']}",
            "stages:    "
            + (", ".join(f"{name} {row['seconds']:.1f} s" for name, row in stages.items()) or "none has ended"),
            "gates:     "
            + (", ".join(f"{name} {gate['verdict']}" for name, gate in gates.items()) or "no verdict yet"),
            *(f"           {line}" for gate in gates.values() for line in _unmet(gate)),
        ]
    )


def _unmet(gate: Mapping[str, Any]) -> list[str]:
    """Return a line for each expectation that stopped the run."""
    report = GateReport.model_validate(gate)
    return [told(result) for result in report.unmet]


def _model(model: dict[str, Any]) -> str:
    return (
        f"{model['variant']}, {model['resolution']} resolution, temperature {model['temperature']:g}"
        f"{_for_whom(model.get('temperature_by_activity', False))}{doubting(model.get('doubt', 0))}, "
        f"{counted(model['item_pairs'], 'item pair')} with an offset"
    )


def _for_whom(is_by_activity: bool) -> str:
    return ", higher for users with more items" if is_by_activity else ""


def _size(counts: dict[str, Any]) -> str:
    return (
        f"{counted(counts['users'], 'user')}, {counted(counts['items'], 'item')}, "
        f"{counted(counts['interactions'], 'interaction')}, "
        f"density {counts['density']:.4f}"
    )
