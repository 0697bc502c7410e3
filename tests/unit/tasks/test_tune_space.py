"""The searched settings are real ones, their bounds hold the defaults, and gates missed are measured alike."""

import numpy as np
import optuna
import pytest

from sdrm_core.config import PipelineConfig
from sdrm_core.privacy.statistics import Estimate
from sdrm_core.privacy.verdicts import Figure, GateVerdict, Verdict
from tasks.tune.space import SPACE, space_around, values_of, with_concrete_values, with_values
from tasks.tune.stages import gate_excess


def test_every_setting_is_of_the_configuration_and_holds_its_default():
    for path, value in values_of(with_concrete_values(PipelineConfig(), n_train_users=4000)).items():
        assert SPACE[path].low <= value <= SPACE[path].high


@pytest.mark.parametrize("bound", ["low", "high"])
def test_the_bounds_are_valid_settings(bound):
    values = {path: getattr(bounds, bound) for path, bounds in SPACE.items()}
    assert values_of(with_values(PipelineConfig(), values)) == values


@pytest.mark.parametrize("hidden_units", [600, 64, 333, 5000])
def test_the_given_settings_can_be_tried_whatever_they_are(hidden_units):
    tree = {"vae": {"hidden_units": hidden_units}, "sampling": {"temperature": 2.5}}
    given = with_concrete_values(PipelineConfig.model_validate(tree), n_train_users=4000)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(values_of(given))
    assert study.ask(space_around(given)).params == values_of(given)
    others = [with_values(given, study.ask(space_around(given)).params) for _ in range(20)]
    assert len({other.vae.hidden_units for other in others}) > 10


def verdict(answer, *figures):
    return GateVerdict(gate="closer_to_train", verdict=answer, sentence="", figures=figures)


def judged(upper, p_value=0.5):
    return Figure.judged("x", Estimate(0.52, 0.51, upper, p_value), n=100, margin=0.55, null=0.5)


def test_a_gate_is_missed_by_what_its_bound_exceeds_the_margin():
    assert gate_excess(verdict(Verdict.PASS, judged(0.54)), accepted=False) == 0
    assert gate_excess(verdict(Verdict.INCONCLUSIVE, judged(0.56)), accepted=False) == pytest.approx(0.2)
    assert gate_excess(verdict(Verdict.INCONCLUSIVE, judged(0.56)), accepted=True) == 0
    assert gate_excess(verdict(Verdict.FAIL, judged(0.60, p_value=0.001)), accepted=True) == pytest.approx(1)
    assert gate_excess(verdict(Verdict.FAIL), accepted=True) == 1


def test_proven_copies_and_what_could_not_be_computed_are_the_worst_there_is():
    proven = Figure.judged("copies", Estimate(0.004, 0.003, 0.005, 1e-9), n=900, margin=0.01, is_tolerated=False)
    not_computed = Figure.judged("auc", Estimate(np.nan, np.nan, np.nan, np.nan), n=900, margin=0.55, null=0.5)
    for figure in (proven, not_computed):
        assert gate_excess(verdict(Verdict.FAIL, figure), accepted=False) == 1
