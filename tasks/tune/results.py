"""The results of ``sdrm tune``: the best settings as a configuration file, a table of all trials, and a summary."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml
from optuna.trial import FrozenTrial, TrialState

from sdrm_core.errors import TrainingError
from sdrm_core.privacy.verdicts import Verdict
from sdrm_core.records import Record
from sdrm_core.storage import write_artifact, write_text
from tasks.stage import Meter, stage
from tasks.tune.space import values_of, with_values
from tasks.tune.stages import METRIC, Search, excess_of, open_study
from tasks.wording import figure, ratio

_SHOWN = 5


class Tuned(Record):
    """The configuration file found, the table of all trials, and a printable summary of the best trials."""

    config: Path
    trials: Path
    summary: str


@stage("tune results")
def write_tuned(search: Search) -> Tuned:
    """Write ``tuned.yaml`` and ``trials.parquet``.

    Raises:
        TrainingError: no trial was completed.
    """
    out = search.tuning.out
    trials = open_study(search.tuning).get_trials(deepcopy=False)
    with Meter("best settings"):
        table = write_artifact(out / "trials.parquet", lambda path: _frame(trials).to_parquet(path, index=False))
        finished = sorted((trial for trial in trials if trial.state == TrialState.COMPLETE), key=_rank)
        if not finished:
            raise TrainingError("no trial finished its training; see the warnings above, and check the data")
        config = write_text(out / "tuned.yaml", _yaml(search, finished, n_trials=len(_ended(trials))))
    return Tuned(config=config.path, trials=table.path, summary=_summary(search, finished))


def _rank(trial: FrozenTrial) -> tuple[float, float]:
    """Return the sort key of a trial: first the smallest excess over the gates' margins, then the highest utility."""
    return excess_of(trial), -(trial.value or 0.0)


def _yaml(search: Search, finished: Sequence[FrozenTrial], *, n_trials: int) -> str:
    best, given = finished[0], _given(search, finished)
    missed = [f"{gate} {verdict}" for gate, verdict in _missed(best).items()]
    judges = ", ".join(f"{judge} {ratio(value)}" for judge, value in best.user_attrs["ratios"].items())
    head = [
        f"Found by sdrm tune: trial {best.number}, the best of {n_trials} trials.",
        f"Digest of the data and roles: {search.input_digest}",
        f"Utility on validation users, {METRIC} divided by that with real users: {ratio(best.value)} ({judges}).",
        f"The same with the settings the search started from: {ratio(given.value) if given else 'not measured'}.",
        f"Privacy gates not passed against validation users: {', '.join(missed) or 'none'}.",
        "Trials are ranked by privacy excess, the total by which the gates' margins are exceeded, then by utility. "
        f"The privacy excess of this trial is {figure(excess_of(best))}.",
        "Holdout and evaluation users were not used: run this configuration to learn the results with them.",
    ]
    settings = with_values(search.tuning.config, best.params).model_dump(mode="json")
    comment = "".join(f"# {line}\n" for line in head)
    return f"{comment}\n{yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)}"


def _missed(trial: FrozenTrial) -> dict[str, str]:
    """Return the verdicts of the gates that a trial does not pass, including accepted ones."""
    return {gate: verdict for gate, verdict in trial.user_attrs["gates"].items() if verdict != Verdict.PASS}


def _given(search: Search, finished: Sequence[FrozenTrial]) -> FrozenTrial | None:
    given = values_of(search.tuning.config)
    return next((trial for trial in finished if trial.params == given), None)


def _ended(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state.is_finished()]


def _frame(trials: Sequence[FrozenTrial]) -> pd.DataFrame:
    """Return a table with one row per ended trial: state, utility, excess, seconds, settings and gate verdicts."""
    return pd.DataFrame(
        [
            {
                "trial": trial.number,
                "state": trial.state.name.lower(),
                "utility": trial.value if trial.state == TrialState.COMPLETE else None,
                "privacy_excess": excess_of(trial) if trial.state == TrialState.COMPLETE else None,
                "seconds": trial.duration.total_seconds() if trial.duration else None,
                **{f"ratio_{judge}": ratio for judge, ratio in trial.user_attrs.get("ratios", {}).items()},
                **trial.params,
                **{f"gate_{gate}": verdict for gate, verdict in trial.user_attrs.get("gates", {}).items()},
            }
            for trial in _ended(trials)
        ]
    )


def _summary(search: Search, finished: Sequence[FrozenTrial]) -> str:
    """Return the best trials, and the trial of the given settings, as aligned lines of text."""
    given = _given(search, finished)
    shown = list(finished[:_SHOWN])
    if given and given not in shown:
        shown.append(given)
    names = [
        path.split(".")[1] if path.split(".")[0] == "sampling" else path for path in values_of(search.tuning.config)
    ]
    lines = [["trial", "utility", "privacy excess", "gates not passed", *names]]
    for trial in shown:
        label = f"{trial.number} (given)" if trial is given else str(trial.number)
        values = [f"{trial.params[path]:.4g}" for path in values_of(search.tuning.config)]
        lines.append([label, ratio(trial.value), figure(excess_of(trial)), str(len(_missed(trial))), *values])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in lines)
