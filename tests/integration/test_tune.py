"""A search of two trials, its continuation, and the file it leaves."""

import shutil

import pandas as pd
import pytest

from flows.tune import tune
from sdrm_core.config.file import load_config
from sdrm_core.data.roles import Role
from sdrm_core.data.simulate import simulate_interactions
from sdrm_core.errors import ArtifactError, ConfigError
from tasks import measure
from tasks.tune import stages
from tasks.tune.space import values_of
from tasks.tune.stages import Tuning, open_study
from tasks.wording import figure
from tests.conftest import small_night

pytestmark = pytest.mark.usefixtures("prefect_server")
SMALL = {"diffusion": {"hidden_units": 64, "depth": 1, "max_epochs": 4, "epoch_steps": 5, "reverse_steps": 4}}
NO_TIME = 1e-6  # one trial a call
N_USERS = 333


@pytest.fixture(scope="module")
def tuned(prefect_server, tmp_path_factory):
    directory = tmp_path_factory.mktemp("tune")
    log = directory / "log.csv"
    simulate_interactions(seed=5, n_users=600, n_items=120).to_pandas().to_csv(log, index=False)
    config = small_night(directory, **SMALL, source={"uri": str(log)}, sampling={"users": N_USERS})
    tuning = Tuning(config=config, minutes=NO_TIME, out=directory / "out")
    looked_at, judged = [], []
    users_of_roles, judge_privacy = stages.users_of_roles, measure.judge_privacy
    with pytest.MonkeyPatch.context() as patch:
        for module in (stages, measure):
            patch.setattr(
                module,
                "users_of_roles",
                lambda matrix, *roles: looked_at.extend(roles) or users_of_roles(matrix, *roles),
            )
        patch.setattr(
            measure, "judge_privacy", lambda users, **rest: judged.append(users) or judge_privacy(users, **rest)
        )
        tune(tuning)
        result = tune(tuning)
    assert {users.shape[0] for users in judged} == {N_USERS}  # as many as a release has
    return tuning, result, looked_at


def test_the_given_settings_are_tried_first_and_a_second_call_goes_on(tuned):
    tuning, result, _ = tuned
    trials = pd.read_parquet(result.trials)
    assert list(trials.trial) == [0, 1]
    assert open_study(tuning).trials[0].params == values_of(tuning.config)
    assert open_study(tuning).trials[1].params != values_of(tuning.config)
    assert (trials.utility > 0).all()
    assert {"ratio_svd", "ratio_ease", "gate_membership", "vae.beta", "privacy_excess", "seconds"} <= set(trials)


def test_the_file_is_a_configuration_that_can_be_run(tuned):
    tuning, result, _ = tuned
    found = load_config(result.config)
    trials = pd.read_parquet(result.trials).sort_values(["privacy_excess", "utility"], ascending=[True, False])
    assert values_of(found) == {path: trials.iloc[0][path] for path in values_of(found)}
    same = found.model_dump(exclude={"vae", "diffusion", "sampling"})
    assert same == tuning.config.model_dump(exclude={"vae", "diffusion", "sampling"})
    head = result.config.read_text().split("\n\n")[0]
    assert ", the best of 2 trials." in head
    assert "Digest of the data and roles: " in head
    assert "(given)" in result.summary
    assert "ranked by privacy excess" in head
    assert f"The privacy excess of this trial is {figure(trials.iloc[0].privacy_excess)}." in head
    names, best, *_ = result.summary.splitlines()
    assert "utility  privacy excess  gates not passed" in names
    excess, missed = best.split()[-len(values_of(found)) - 2 :][:2]
    assert excess == figure(trials.iloc[0].privacy_excess)
    gates = trials.iloc[0].filter(like="gate_")
    assert missed == str(sum(gates != "PASS"))
    assert all(f"{name.removeprefix('gate_')} {verdict}" in head for name, verdict in gates[gates != "PASS"].items())


def test_holdout_and_evaluation_users_are_never_looked_at(tuned):
    assert set(tuned[2]) == {Role.TRAIN, Role.VALIDATION}


def test_a_killed_trial_counts_as_failed_and_the_search_goes_on(tuned, tmp_path):
    tuning, _, _ = tuned
    shutil.copytree(tuning.out, tmp_path / "out")
    tuning = tuning.model_copy(update={"out": tmp_path / "out"})
    open_study(tuning).ask()  # and nobody ever tells how it ended
    trials = pd.read_parquet(tune(tuning).trials)
    assert list(trials.state) == ["complete", "complete", "fail", trials.state.iloc[-1]]
    assert trials.state.iloc[-1] in {"complete", "pruned"}


def test_a_study_of_other_settings_is_refused(tuned):
    tuning, _, _ = tuned
    other = tuning.model_copy(update={"config": tuning.config.model_copy(update={"seed": 3})})
    with pytest.raises(ConfigError, match="seed was 0 and is 3"):
        tune(other)


def test_a_study_of_other_data_is_refused(tuned, monkeypatch):
    monkeypatch.setenv("SDRM_ROLE_KEY", "another key nobody guesses")
    before = sorted((tuned[0].out / "input").iterdir())
    with pytest.raises(ConfigError, match="other data"):
        tune(tuned[0])
    assert sorted((tuned[0].out / "input").iterdir()) == before


@pytest.mark.parametrize("damaged", [lambda data: data[:5000], lambda data: b"x" * len(data)])
def test_a_damaged_study_is_told(tuned, tmp_path, damaged):
    tuning, *_ = tuned
    copy = shutil.copytree(tuning.out, tmp_path / "out")
    (copy / "study.db").write_bytes(damaged((copy / "study.db").read_bytes()))
    with pytest.raises(ArtifactError, match=r"study.db is damaged .* Restore it from a backup"):
        open_study(tuning.model_copy(update={"out": copy}))
