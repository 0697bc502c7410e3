"""The four quality gates of a run as Prefect tasks. Each checks the files of a stage, reports, and may stop the run."""

from collections.abc import Callable
from typing import Any, get_args

import pandas as pd

from sdrm_core.config import PrivacyGate
from sdrm_core.data.anonymity import is_publishable
from sdrm_core.data.roles import Role
from sdrm_core.data.stored_log import StoredLog
from sdrm_core.errors import GateFailed
from sdrm_core.privacy.verdicts import PrivacyReport
from sdrm_core.quality.fidelity import FidelityReport
from sdrm_core.quality.utility import UtilityReport
from sdrm_core.records import Artifact
from sdrm_core.storage import checked, read_json, read_user_items
from tasks.gates.evaluation import check, check_columns, combined, gate_markdown, require
from tasks.gates.frames import id_type, matrix_frame, raw_columns, synthetic_frame
from tasks.gates.suites import (
    ITEM,
    USER,
    matrix_suite,
    privacy_fact,
    raw_interactions_suite,
    release_suite,
    synthetic_facts_suite,
    synthetic_users_suite,
)
from tasks.matrix import users_of, users_wanted
from tasks.pages import show
from tasks.records import GateReport, Ingested, Measures, Run, Samples, UserItemMatrix
from tasks.stage import LOG, Meter, stage
from tasks.working_directory import save_gate_report


@stage("gate raw interactions")
def gate_raw_interactions(run: Run, ingested: Ingested) -> None:
    """Check the log before any filter: columns, types, nulls, ranges, number of rows, repeated (user, item) pairs."""

    def judge() -> GateReport:
        log, source = StoredLog(checked(ingested.interactions)), run.config.source
        suite = raw_interactions_suite(
            run.config.gates.raw_interactions,
            source,
            user_id_type=id_type(log, USER, wanted=source.user_id_type),
            item_id_type=id_type(log, ITEM, wanted=source.item_id_type),
        )
        return check_columns("raw_interactions", suite, raw_columns(log))

    _pass_or_stop(run, "raw_interactions", judge)


@stage("gate matrix")
def gate_matrix(run: Run, matrix: UserItemMatrix) -> None:
    """Check the filtered matrix: users, items, density, no empty rows or columns."""

    def judge() -> GateReport:
        user_items, _ = read_user_items(matrix.user_items)
        return check("matrix", matrix_suite(run.config.gates.matrix, run.config.filter), matrix_frame(user_items))

    _pass_or_stop(run, "matrix", judge)


@stage("gate synthetic")
def gate_synthetic(run: Run, matrix: UserItemMatrix, samples: Samples, fidelity: Artifact) -> None:
    """Check the synthetic users: their number, their items, and whether density and activity are near the source's."""

    def judge() -> GateReport:
        users = check(
            "synthetic",
            synthetic_users_suite(users=users_wanted(run.config, matrix)),
            _synthetic_users(run, matrix, samples),
        )
        facts = pd.DataFrame([likeness(FidelityReport.model_validate(read_json(fidelity)))])
        return combined([users, check("synthetic", synthetic_facts_suite(run.config.gates.synthetic), facts)])

    _pass_or_stop(run, "synthetic", judge, attempt=samples.attempt)


@stage("gate release")
def gate_release(run: Run, samples: Samples, measures: Measures) -> None:
    """Check that the measures of fidelity, utility and privacy are within the configured bounds."""

    def judge() -> GateReport:
        privacy = PrivacyReport.model_validate(read_json(measures.privacy))
        facts = release_facts(
            fidelity=FidelityReport.model_validate(read_json(measures.fidelity)),
            utility=UtilityReport.model_validate(read_json(measures.utility)),
            privacy=privacy,
        )
        suite = release_suite(run.config.gates, run.config.privacy, answers={gate.gate: gate for gate in privacy.gates})
        return check("release", suite, pd.DataFrame([facts]))

    _pass_or_stop(run, "release", judge, attempt=samples.attempt)


def likeness(fidelity: FidelityReport) -> dict[str, Any]:
    """Return how similar the synthetic users as a whole are to the source, by the names that the gates use.

    The density is compared with that of the publishable part of the source. In a small data set, the few most active
    users have a large part of the interactions, which may not be published.
    """
    return {
        "density_ratio": fidelity.published["density_ratio"].synthetic,
        "activity_ks": fidelity.synthetic("activity_ks"),
    }


def release_facts(*, fidelity: FidelityReport, utility: UtilityReport, privacy: PrivacyReport) -> dict[str, Any]:
    """Collect from the three reports the values that the release gate checks; a missing measure is None and fails."""
    return likeness(fidelity) | {
        "popularity_spearman": fidelity.synthetic("popularity_spearman"),
        "coverage": fidelity.synthetic("catalogue_coverage"),
        "svd_recall_ratio": utility.ratio("svd", "recall@10"),
        **{privacy_fact(gate.gate): gate.verdict.value for gate in privacy.gates},
    }


def refused_for_privacy(refusal: GateFailed) -> bool:
    """Return whether a privacy gate refused the release that more random sampling can pass, whatever else did.

    False if the error was restored from its text, because then it has no report.
    """
    if not refusal.report:
        return False
    unmet = GateReport.model_validate(refusal.report).unmet
    by_randomness = set(get_args(PrivacyGate)) - {"hygiene", "k_anonymous_items"}
    return not {result.column for result in unmet}.isdisjoint(map(privacy_fact, by_randomness))


def _synthetic_users(run: Run, matrix: UserItemMatrix, samples: Samples) -> pd.DataFrame:
    publishable = is_publishable(users_of(matrix, Role.TRAIN), k_anonymity=run.config.privacy.k_anonymity)
    frames, first_user = [], 0
    for shard in samples.shards:
        user_items, _ = read_user_items(shard)
        frames.append(synthetic_frame(user_items, first_user=first_user, publishable=publishable))
        first_user += user_items.shape[0]
    return pd.concat(frames)


def _pass_or_stop(run: Run, name: str, judge: Callable[[], GateReport], *, attempt: int | None = None) -> None:
    """Call ``judge``, save its report in the run's directory, show it in Prefect's pages, and raise unless it passed.

    attempt: number of the attempt whose synthetic users are checked; None: the gate checks something else.
    """
    with Meter(f"gate_{name}", attempt=attempt) as meter:
        report = judge()
        save_gate_report(run.directory, name, report.model_dump(mode="json"), attempt=attempt)
    meter.save(run)
    show(f"gate-{name.replace('_', '-')}", gate_markdown(report), description=f"{name}: {report.verdict}")
    LOG.info("gate %s: %s (%d expectations)", name, report.verdict, len(report.results))
    if report.verdict != "PASS":
        LOG.warning("all reports of this run are in %s", run.directory)
    require(report)
