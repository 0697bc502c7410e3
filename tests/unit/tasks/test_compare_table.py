"""What a comparison makes of several seeds."""

import pytest

from sdrm_core.privacy.statistics import Estimate
from sdrm_core.privacy.verdicts import Figure, GateVerdict, Verdict, fail_closed
from sdrm_core.records import Artifact, Counts
from tasks.compare.cells import privacy_cell
from tasks.compare.markdown import Table
from tasks.compare.plan import ArmChoice, Comparison, Job
from tasks.compare.table import _privacy
from tasks.records import UserItemMatrix
from tests.conftest import small_night
from tests.unit.tasks.privacy_reports import privacy_report_of

CHOICE = ArmChoice(arm="popularity")


@pytest.fixture
def job(tmp_path):
    nothing = Artifact(path=tmp_path / "none", sha256="0" * 64)
    return Job(
        comparison=Comparison(
            config=small_night(tmp_path),
            arms=(CHOICE,),
            judges=("popularity",),
            seeds=(0, 1, 2),
            out=tmp_path,
            command="sdrm compare",
        ),
        matrix=UserItemMatrix(
            user_items=nothing,
            items=nothing,
            counts=Counts.of(users=2, items=1, interactions=1),
            users_by_role={"train": 2, "validation": 0, "holdout": 0, "evaluation": 0},
            has_secret_roles=False,
        ),
        digest="",
    )


def membership(effect):
    """Return the gate's answer to an attack of this AUC."""
    figure = Figure.judged("auc", Estimate(effect, effect, effect, 1.0), n=100, margin=0.55, null=0.5)
    baseline = {"auc": 0.5}
    return GateVerdict(gate="membership", verdict=figure.verdict, sentence="", figures=(figure,), baseline=baseline)


def not_computed():
    def judge():
        raise ValueError("of no use")

    return fail_closed("membership", judge)


def privacy_rows(job, gates):
    for seed, gate in enumerate(gates):
        privacy_cell(job, CHOICE, seed).write(privacy_report_of(gate).model_dump(mode="json"))
    return Table(list(_privacy(job, CHOICE)))


def test_a_privacy_figure_is_the_mean_of_the_seeds(job):
    table = privacy_rows(job, [membership(effect) for effect in (0.50, 0.51, 0.55)])
    row = table.find("popularity", "privacy", "membership: auc")
    assert row.value == pytest.approx(0.52)
    assert (row.low, row.high, row.seeds, row.verdict) == (0.50, 0.55, 3, Verdict.PASS)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_gate_that_could_not_be_computed_for_one_seed_has_no_figure_and_fails(job, place):
    gates = [membership(0.51), membership(0.51)]
    gates.insert(place, not_computed())
    table = privacy_rows(job, gates)
    row = table.find("popularity", "privacy", "membership: auc")
    assert (row.value, row.low, row.high, row.seeds, row.verdict) == (None, None, None, 3, Verdict.FAIL)
    baseline = table.find("popularity", "privacy", "membership, baseline: auc")
    assert (baseline.value, baseline.seeds) == (None, 3)
    passed = table.find("popularity", "privacy", "membership passed")
    assert (passed.value, passed.verdict) == (pytest.approx(2 / 3), Verdict.FAIL)
