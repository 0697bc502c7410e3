"""Write the data card and the report of a release, and the privacy page for the operator."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from sdrm_core.config import PipelineConfig
from sdrm_core.privacy.verdicts import MIN_HOLDOUT_USERS, Histogram, Verdict, strictest_of
from sdrm_core.quality.ranking import METRICS
from tasks import wording
from tasks.release import plots
from tasks.role_key import ROLES_OF_SEED
from tasks.working_directory import gate_of

_HEADLINE_METRICS = ("recall@10", "ndcg@10")
_TRAINING_DIGITS = 3  # exact losses of two releases could reveal a person who joined or left
_MIN_USERS = 5  # least users in a bar of a published histogram; privacy.k_anonymity if larger


def render_card(manifest: Mapping[str, Any]) -> str:
    """Return the data card (``README.md`` of the release) as Markdown, without figures that an attacker could use."""
    return _render("card.md.j2", manifest)


def render_report(
    manifest: Mapping[str, Any],
    *,
    curves: Mapping[str, Sequence[Mapping[str, Any]]],
    n_validation: int,
    privacy: Mapping[str, Any],
) -> str:
    """Return ``report.html`` of the release: one file that contains its plots and loads nothing from the network.

    Args:
        manifest: manifest of the release.
        curves: epoch reports of ``vae`` and ``diffusion``, in order; they are shown rounded.
        n_validation: number of validation users; with fewer than ``MIN_HOLDOUT_USERS``, no validation figure is shown.
        privacy: the complete privacy report; only its coarse nearest-neighbour histograms are shown.
    """
    fidelity = manifest["fidelity"]["curves"]
    min_users = max(_MIN_USERS, manifest["config"]["privacy"]["k_anonymity"])
    return _render(
        "report.html.j2",
        manifest,
        popularity=plots.plot_popularity(fidelity),
        activity=plots.plot_activity(fidelity),
        nearest=_nearest(_public_histograms(privacy), min_users=min_users),
        training=_training(curves, is_validated=n_validation >= MIN_HOLDOUT_USERS),
        min_users=min_users,
        min_holdout=MIN_HOLDOUT_USERS if privacy["n_holdout"] < MIN_HOLDOUT_USERS else 0,
        settings=_settings(manifest["config"]),
    )


def render_operator_report(
    privacy: Mapping[str, Any], *, dataset: str, run: str, attempt: int, report_only: Sequence[str]
) -> str:
    """Return the operator's ``privacy.html`` with every figure of every privacy gate; not for publication.

    Args:
        privacy: the full privacy report.
        dataset: name of the data set.
        run: digest of the run.
        attempt: number of the attempt within the run, from 0.
        report_only: gates that are only reported and never stop a release.
    """
    page = _environment().get_template("privacy.html.j2")
    nearest = _nearest(_histograms(privacy), min_users=0)
    return page.render(
        full=privacy, nearest=nearest, dataset=dataset, run=run, attempt=attempt, report_only=report_only
    )


def overall_verdict(manifest: Mapping[str, Any]) -> str:
    """Return the worst verdict of all gates (FAIL, then INCONCLUSIVE, then PASS), even if the settings accept it."""
    gates = [*manifest["gates"].values(), *manifest["privacy"]["gates"].values()]
    return strictest_of(gate["verdict"] for gate in gates)


def headline(manifest: Mapping[str, Any]) -> str:
    """Return in words whether every gate passed, and if not, why there is a release all the same."""
    accepted, reported = manifest["privacy"]["accepted_inconclusive"], manifest["privacy"]["report_only"]
    if overall_verdict(manifest) == Verdict.PASS:
        return "Every gate passed."
    if not is_told_openly(manifest):
        return "A gate failed, or was inconclusive and not accepted: this release must not be published."
    undecided = "could not decide, which the configuration openly accepts."
    if not reported:
        return f"No gate failed; {wording.counted(len(accepted), 'privacy gate')} {undecided}"
    told = (
        f"For trying on public data only: {wording.counted(len(reported), 'privacy gate')} did not pass, and the "
        f"configuration only reports {'it' if len(reported) == 1 else 'them'}."
    )
    return f"{told} {wording.counted(len(accepted), 'more privacy gate')} {undecided}" if accepted else told


def is_told_openly(manifest: Mapping[str, Any]) -> bool:
    """Return whether every gate that did not pass is a privacy gate that the configuration accepts or only reports."""
    privacy = manifest["privacy"]
    openly = {*privacy["report_only"], *privacy["accepted_inconclusive"]}
    missed = [name for name, gate in privacy["gates"].items() if gate["verdict"] != "PASS"]
    return openly.issuperset(missed) and all(gate["verdict"] == "PASS" for gate in manifest["gates"].values())


def refusing_gates(manifest: Mapping[str, Any]) -> list[str]:
    """Return the gates that refused an attempt of this run."""
    return [gate_of(key) for key, verdict in manifest["gates_by_attempt"].items() if verdict == "FAIL"]


def _render(template: str, manifest: Mapping[str, Any], **context: Any) -> str:
    page = _environment().get_template(template)
    return page.render(
        manifest=manifest,
        overall=overall_verdict(manifest),
        headline=headline(manifest),
        accepted=manifest["privacy"]["accepted_inconclusive"],
        refused_by=refusing_gates(manifest),
        has_secret_roles=manifest["roles"] != ROLES_OF_SEED,
        headline_metrics=_HEADLINE_METRICS,
        all_metrics=METRICS,
        **context,
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tasks.release"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["wording"] = wording
    environment.filters |= {function.__name__: function for function in wording.FILTERS}
    environment.filters |= {"code": markdown_code, "text": markdown_text}
    return environment


def markdown_code(text: Any) -> str:
    """Return any text as a code span in a cell of a Markdown table; no text can end the span or the cell."""
    flat = " ".join(str(text).split()).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", flat)), default=0))
    padding = " " if not flat or flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{padding}{flat}{padding if flat else ''}{fence}"


def markdown_text(text: Any) -> str:
    """Return any text on one line with Markdown's special characters escaped."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>#|!&~" else sign for sign in " ".join(str(text).split()))


def _nearest(histograms: Mapping[str, Histogram], *, min_users: int) -> str | None:
    """Return the plot of nearest-neighbour similarities; None if no bar has ``min_users`` users.

    min_users: bars of fewer users are left out.
    """
    drawn = {
        name: {"edges": one.edges, "shares": one.shares(min_users=min_users)}
        for name, one in histograms.items()
        if max(one.counts) >= max(min_users, 1)
    }
    return plots.plot_nearest(drawn) if drawn else None


def _histograms(privacy: Mapping[str, Any]) -> dict[str, Histogram]:
    return {name: Histogram.model_validate(one) for name, one in privacy["histograms"].items()}


def _public_histograms(privacy: Mapping[str, Any]) -> dict[str, Histogram]:
    """Return the coarse histograms, without those of the holdout users if these are too few."""
    is_shown = privacy["n_holdout"] >= MIN_HOLDOUT_USERS
    return {name: one.coarse for name, one in _histograms(privacy).items() if is_shown or "holdout" not in name}


def _training(curves: Mapping[str, Sequence[Mapping[str, Any]]], *, is_validated: bool) -> list[dict[str, str | int]]:
    """Return title, plot and epochs of each training stage, in the order of training."""
    by_stage: dict[str, list[Mapping[str, Any]]] = {}
    for report in (report for reports in curves.values() for report in reports):
        by_stage.setdefault(report["stage"], []).append(report)
    drawn = []
    for stage, reports in by_stage.items():
        title, loss, validation = wording.TRAINING.get(stage, (wording.plain(stage), "loss", "validation"))
        svg = plots.plot_training(
            [_public_epoch(report) for report in reports],
            loss=loss,
            validation=validation if is_validated else None,
            kept=_kept_epoch(reports),
        )
        n_epochs, most = len(reports), reports[-1]["of_epochs"]
        stopped_early = validation is not None and n_epochs < most
        drawn.append(
            {"title": title, "svg": svg, "epochs": n_epochs, "of_epochs": most, "stopped_early": stopped_early}
        )
    return drawn


def _public_epoch(report: Mapping[str, Any]) -> dict[str, Any]:
    figures = {key: wording.rounded(report[key], digits=_TRAINING_DIGITS) for key in ("loss", "validation")}
    return {**report, **figures}


def _kept_epoch(reports: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the first epoch with the best validation figure, or None."""
    best = reports[-1]["best"]
    return next((int(report["epoch"]) for report in reports if report["validation"] == best), None)


def _settings(config: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the settings with their meanings, by section; settings without a section come first."""
    sections: dict[str, list[dict[str, Any]]] = {"": []}
    _collect(config, PipelineConfig, "", sections)
    return {name: rows for name, rows in sections.items() if rows}


def _collect(values: Mapping[str, Any], model: Any, prefix: str, sections: dict[str, list[dict[str, Any]]]) -> None:
    fields = getattr(model, "model_fields", {})
    for key, value in values.items():
        field = fields.get(key)
        if isinstance(value, Mapping):
            _collect(value, field.annotation if field else None, f"{prefix}{key}.", sections)
        else:
            row = {"key": prefix + key, "value": value, "meaning": (field and field.description) or ""}
            sections.setdefault(prefix.partition(".")[0], []).append(row)
