"""The manifest: what a release contains, where it came from and how it was judged.

It contains no figure that an attacker could use.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

import sdrm_core
from sdrm_core.model.sdrm import VARIANT
from sdrm_core.privacy.verdicts import MIN_HOLDOUT_USERS, PrivacyReport
from sdrm_core.records import SourceFacts
from sdrm_core.storage import parse_json_files, read_json
from tasks.records import FileFacts, FittedModel, Measures, Run, Samples, UserItemMatrix
from tasks.role_key import ROLES_OF_KEY, ROLES_OF_SEED, sealed
from tasks.source import is_named_source
from tasks.wording import ratio, rounded
from tasks.working_directory import gate_reports, gate_reports_by_attempt, stages_directory

_DIGITS = 3
_CURVE_DIGITS = 2  # a plot shows no more


def content_digest(files: Sequence[FileFacts]) -> str:
    """Return the SHA-256 of the paths and digests of the data files; equal data have an equal digest."""
    return hashlib.sha256("\n".join(f"{facts.sha256}  {facts.path}" for facts in files).encode()).hexdigest()


def version_of(created_at: datetime, digest: str) -> str:
    """Return the version of a release: ``created_at`` (UTC) and the first 8 digits of the content digest."""
    return f"{created_at:%Y%m%dT%H%M%SZ}-{digest[:8]}"


def build_manifest(
    run: Run,
    *,
    secret: bytes | None,
    source: SourceFacts,
    matrix: UserItemMatrix,
    model: FittedModel,
    samples: Samples,
    measures: Measures,
    files: Sequence[FileFacts],
    item_type: pa.DataType,
    created_at: datetime,
) -> dict[str, Any]:
    """Return the manifest as a JSON-compatible dictionary.

    secret: the secret key of the users' roles; None if the roles come from the seed.
    """
    digest = content_digest(files)
    return {
        "dataset": run.config.dataset,
        "version": version_of(created_at, digest),
        "digest": digest,
        "created_at": created_at.isoformat(timespec="seconds"),
        "run": run.digest,
        "seed": run.config.seed,
        "code_version": sdrm_core.__version__,
        "config": _public_config(run, secret=secret),
        "source": _public_source(run, source, secret=secret),
        "source_counts": _rounded_counts(matrix.counts.model_dump()),
        "roles": ROLES_OF_KEY if matrix.has_secret_roles else ROLES_OF_SEED,
        "synthetic_counts": samples.counts.model_dump(),
        "files": [facts.model_dump(mode="json") for facts in files],
        "schema": {"user_id": "int64", "item_id": str(item_type)},
        "model": {
            "sha256": model.sha256,
            "variant": VARIANT,
            "resolution": run.config.sampling.resolution,
            "temperature": model.temperature,
            "temperature_is_found": model.temperature_is_found,
            "temperature_by_activity": model.temperature_by_activity,
            "doubt": model.doubt,
            "item_pairs": model.item_pairs,
        },
        "attempts": samples.attempt + 1,
        "gates_by_attempt": {key: report["verdict"] for key, report in gate_reports_by_attempt(run.directory).items()},
        "gates": _verdicts(run),
        "privacy": _public_privacy(run, measures),
        "utility": _rounded(_public_utility(measures), digits=_DIGITS),
        "fidelity": _public_fidelity(measures, n_holdout=matrix.users_by_role["holdout"]),
        "stages": parse_json_files(stages_directory(run.directory)),
    }


def _public_config(run: Run, *, secret: bytes | None) -> dict[str, Any]:
    """Return the settings to publish; for a private log, ``source.sha256`` (the digest of its file) is left out."""
    settings = run.config.public_settings()
    if _is_private(run, secret):
        del settings["source"]["sha256"]
    return settings


def _public_source(run: Run, source: SourceFacts, *, secret: bytes | None) -> dict[str, Any]:
    """Return the name, the digest and the rounded number of rows of the source.

    The digest of a private log is published as an HMAC with the secret key: with the plain digest, anybody could check
    whether a guessed log is the real one.
    """
    digest = {"sha256": source.sha256}
    if _is_private(run, secret):
        digest = {"hmac_sha256": sealed(source.sha256, secret)}
    return digest | {"uri": run.config.source.name} | _rounded_counts({"rows": source.rows})


def _is_private(run: Run, secret: bytes | None) -> bool:
    """Return whether the log is not a public (embedded or named) data set, and a secret key exists."""
    return secret is not None and not is_named_source(run.config.source)


def _public_privacy(run: Run, measures: Measures) -> dict[str, Any]:
    """Return verdicts and sentences of the privacy gates; ``report_only`` are gates not passed but only reported."""
    report = PrivacyReport.model_validate(read_json(measures.privacy))
    waived = [
        gate.gate for gate in report.gates if gate.verdict != "PASS" and gate.gate in run.config.privacy.report_only
    ]
    return report.public() | {"report_only": waived}


def _public_utility(measures: Measures) -> dict[str, Any]:
    """Return the utility report, without figures if the evaluation users are too few: they could reveal one person."""
    report: dict[str, Any] = read_json(measures.utility)
    n_users = report["evaluation_users"]
    if report["verdict"] != "MEASURED" or n_users >= MIN_HOLDOUT_USERS:
        return report | _rounded_counts({"evaluation_users": n_users})
    reason = (
        f"evaluation users with at least five positives: {n_users}; "
        f"figures of fewer than {MIN_HOLDOUT_USERS} users are not published"
    )
    return report | {"verdict": "INCONCLUSIVE", "reason": reason, "judges": {}}


def _public_fidelity(measures: Measures, *, n_holdout: int) -> dict[str, Any]:
    """Return the fidelity report without figures of few people: the largest activity, and those of a small holdout.

    Figures are rounded: the difference between the exact figures of two releases could reveal a person who joined or
    left.
    """
    report: dict[str, Any] = read_json(measures.fidelity)
    hidden = {"holdout": None} if n_holdout < MIN_HOLDOUT_USERS else {}
    figures = report["figures"] | report.pop("published")
    figures = {name: row | hidden for name, row in figures.items() if name != "activity_max"}
    figures, curves = _rounded(figures, digits=_DIGITS), _rounded(report["curves"], digits=_CURVE_DIGITS)
    people = _rounded_counts({name: report[name] for name in ("train_users", "holdout_users")})
    return report | people | {"figures": figures, "curves": curves}


def _rounded_counts(counts: Mapping[str, float]) -> dict[str, float]:
    """Return numbers of real users or rows with three significant digits, so that one person more hardly shows.

    Integers stay integers.
    """
    return {name: type(number)(float(f"{number:.{_DIGITS}g}")) for name, number in counts.items()}


def _rounded(tree: Any, *, digits: int) -> Any:
    """Return a JSON tree whose floats are rounded to ``digits`` significant digits; integers are not changed."""
    if isinstance(tree, dict):
        return {
            key: _rounded_ratio(value) if key == "ratio" else _rounded(value, digits=digits)
            for key, value in tree.items()
        }
    if isinstance(tree, list):
        return [_rounded(value, digits=digits) for value in tree]
    return rounded(tree, digits=digits) if isinstance(tree, float) else tree


def _rounded_ratio(estimate: dict[str, float | None] | None) -> dict[str, float | None] | None:
    """Return a ratio and its interval rounded as in the reports (``wording.ratio``)."""
    return estimate and {key: None if value is None else float(ratio(value)) for key, value in estimate.items()}


def _verdicts(run: Run) -> dict[str, Any]:
    """Return each gate's verdict and its rules, by gate; what the gate found is not published."""
    shown = ("rule", "why", "severity", "success")
    return {
        name: {
            "verdict": report["verdict"],
            "expectations": len(report["results"]),
            "results": [{key: result[key] for key in shown} for result in report["results"]],
        }
        for name, report in gate_reports(run.directory).items()
    }
