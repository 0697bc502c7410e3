"""The folders of a run's working directory that several modules use, and to which attempt each belongs.

A run samples at most twice. The second attempt leaves the files of the first as they are, so that a restarted run can
reuse both.
"""

import shutil
from pathlib import Path
from typing import Any

from sdrm_core.storage import parse_json_files, private_directory, write_json

CONFIG = "config.json"  # a directory with this file is the working directory of a run
ROLE_KEY_MARK = "role-key-mark.json"  # which key of the roles a published release was made with

_STAGES, _GATES, _ATTEMPTS = "stages", "gates", "attempts"
_MODELS = ("model", "model-1")
_CURVES = ("diffuse", "diffuse-1")
_DIGITS = 16


def run_directory(work: Path, digest: str) -> Path:
    """Return the working directory, inside ``work``, of the run with this digest."""
    return work.expanduser() / digest[:_DIGITS]


def stages_directory(directory: Path) -> Path:
    """Return the folder with the time and memory that each stage took."""
    return directory / _STAGES


def stage_record(directory: Path, stage: str, *, attempt: int) -> Path:
    """Return the file with the time and memory that a stage took in an attempt (from 0)."""
    return stages_directory(directory) / f"{stage}{'_second_attempt' if attempt else ''}.json"


def samples_directory(directory: Path, *, attempt: int) -> Path:
    """Create and return the folder of the synthetic users of an attempt (from 0)."""
    return private_directory(directory / f"samples-{attempt}")


def measures_directory(directory: Path, *, attempt: int) -> Path:
    """Create and return the folder of the measures of an attempt's synthetic users."""
    return private_directory(directory / f"measures-{attempt}")


def model_directories(directory: Path, *, is_second: bool) -> tuple[Path, Path]:
    """Create and return the folder of a run's first or second model and the folder of its training curve.

    A run fits a second model only for a second attempt that is more random. For a new first model, an old second model
    is removed, because the last model of a run counts as the run's model.
    """
    if not is_second:
        shutil.rmtree(directory / _MODELS[1], ignore_errors=True)
    return private_directory(directory / _MODELS[is_second]), private_directory(directory / _CURVES[is_second])


def models_of(directory: Path) -> list[Path]:
    """Return where a run's models may be, the last model first."""
    return [directory / name for name in reversed(_MODELS)]


def save_gate_report(directory: Path, gate: str, report: dict[str, Any], *, attempt: int | None) -> None:
    """Write the report of a gate; with an ``attempt``, also as a report of that attempt."""
    write_json(private_directory(directory / _GATES) / f"{gate}.json", report)
    if attempt is not None:
        write_json(private_directory(directory / _ATTEMPTS) / f"{attempt}-{gate}.json", report)


def gate_reports(directory: Path) -> dict[str, Any]:
    """Return the last report of each gate."""
    return parse_json_files(directory / _GATES)


def gate_reports_by_attempt(directory: Path) -> dict[str, Any]:
    """Return the reports on synthetic users of all attempts, also of refused ones, by ``<attempt>-<gate>``."""
    return parse_json_files(directory / _ATTEMPTS)


def gate_of(attempt_and_gate: str) -> str:
    """Return the gate of a key of ``gate_reports_by_attempt``."""
    return attempt_and_gate.partition("-")[2]


def gate_reports_on(model: Path) -> dict[str, Any]:
    """Return the gate reports on the users that a run drew from the model in the folder ``model``, by gate."""
    directory = model.parent
    if model.name == _MODELS[0] and (directory / _MODELS[1]).is_dir():  # the last reports are about the second model
        reports = gate_reports_by_attempt(directory)
        return {gate_of(key): report for key, report in reports.items() if key.startswith("0-")}
    return gate_reports(directory)


def forget_judgement(directory: Path) -> None:
    """Remove what an earlier run wrote in ``directory`` about its gates and stages, but not about the ingest stage.

    That stage has already ended when a run knows its directory.
    """
    for folder in (_GATES, _ATTEMPTS):
        shutil.rmtree(directory / folder, ignore_errors=True)
    for meter in stages_directory(directory).glob("*.json"):
        if meter.stem != "ingest":
            meter.unlink()
