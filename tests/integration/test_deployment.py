"""The nightly deployment on a real Prefect server with a real worker, as the runbook sets it up."""

import json
import shutil
import subprocess
from datetime import datetime

import pytest

from tasks.role_key import ROLES_OF_KEY, mark_of
from tasks.working_directory import ROLE_KEY_MARK
from tests.conftest import small_night
from tests.integration.processes import ROOT, Api, command, environment, eventually, free_port, started

ROLE_KEY = "a key nobody guesses"
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@pytest.fixture(scope="module")
def home(tmp_path_factory, prefect_database):
    home = tmp_path_factory.mktemp("prefect")
    shutil.copy(prefect_database, home)
    return home


@pytest.fixture(scope="module")
def env(home):
    """Return the shipped environment of server and worker, with a home and a port of our own."""
    lines = (ROOT / "deployments" / "server.env").read_text(encoding="utf-8").splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    port = settings["PREFECT_SERVER_API_PORT"] = str(free_port())
    settings["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
    return environment(home, **settings, PREFECT_WORKER_QUERY_SECONDS="1", SDRM_ROLE_KEY=ROLE_KEY)


@pytest.fixture(scope="module")
def api(env, home):
    with started(command("prefect", "server", "start"), env=env, log=home / "server.log"):
        api = Api(env["PREFECT_API_URL"])
        eventually("the server answers", api.is_healthy)
        yield api


@pytest.fixture(scope="module")
def deployment(api, env):
    api.create("/work_pools/", name="nightly", type="process")
    line = command("prefect", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml", "--no-prompt")
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return api.deployment()


@pytest.fixture(scope="module")
def nights(api, deployment, env, home, tmp_path_factory):
    """Trigger a night, and a second one while it is going on; return both runs when they have ended."""
    directory = tmp_path_factory.mktemp("nights")
    config = small_night(directory, dataset="deployed").model_dump(mode="json")
    with started(command("prefect", "worker", "start", "--pool", "nightly"), env=env, log=home / "worker.log"):
        first = api.begin(deployment["id"], config)
        eventually("the first night begins", lambda: api.state(first) not in {"SCHEDULED"})
        second = api.begin(deployment["id"], config)
        for run in (second, first):
            eventually("the night ends", lambda run=run: api.state(run) in FINAL, seconds=300)
    return directory, api.get(f"/flow_runs/{first}"), api.get(f"/flow_runs/{second}")


def of_run(run):
    return {"flow_runs": {"id": {"any_": [run["id"]]}}}


class TestDeployed:
    def test_it_is_what_the_file_says(self, deployment):
        assert not deployment["paused"]
        assert deployment["enforce_parameter_schema"]
        assert deployment["global_concurrency_limit"]["limit"] == 1
        assert deployment["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
        (schedule,) = deployment["schedules"]
        assert schedule["active"]
        assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("0 2 * * *", "UTC")

    def test_no_step_fetches_code(self, deployment):
        assert [list(step) for step in deployment["pull_steps"]] == [
            ["prefect.deployments.steps.set_working_directory"]
        ]

    def test_the_schedule_makes_runs(self, api, deployment):
        runs = eventually(
            "runs are scheduled",
            lambda: api.find("flow_runs", **{"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}),
            seconds=60,
        )
        due = [datetime.fromisoformat(run["expected_start_time"]) for run in runs]
        assert {(when.hour, when.minute) for when in due} == {(2, 0)}
        assert len({when.date() for when in due}) == len(due) >= 2
        assert all(run["deployment_id"] == deployment["id"] for run in runs)

    def test_the_form_explains_each_setting(self, deployment):
        vae = deployment["parameter_openapi_schema"]["definitions"]["VaeConfig"]["properties"]
        assert vae["max_epochs"]["description"]
        assert vae["max_epochs"]["default"] > vae["max_epochs"]["minimum"]

    @pytest.mark.parametrize(
        ("config", "named"),
        [
            ({"vae": {"max_epochs": 0}}, "max_epochs"),
            ({"sampling": {"resolution": "most"}}, "resolution"),
            ({"seed": "today"}, "seed"),
            ({"vae": {"epochs": 5}}, "epochs"),
        ],
    )
    def test_a_wrong_value_is_refused(self, api, deployment, config, named):
        answer = api.trigger(deployment["id"], config)
        assert answer.status_code == 409
        assert named in answer.json()["detail"]


class TestNight:
    def test_it_ends_with_a_release(self, nights, home):
        directory, run, _ = nights
        assert run["state"]["type"] == "COMPLETED", (home / "worker.log").read_text()
        assert run["name"] == "deployed seed 0"
        folder = directory / "releases" / "deployed"
        version = json.loads((folder / "latest.json").read_text())["version"]
        assert json.loads((folder / version / "manifest.json").read_text())["roles"] == ROLES_OF_KEY

    def test_the_journal_alone_tells_its_key_from_another(self, nights):
        directory, _, _ = nights
        mark = mark_of(ROLE_KEY.encode())
        assert json.loads((directory / "work" / "runs.jsonl").read_text())["role_key_mark"] == mark
        (left,) = (directory / "work").glob(f"*/{ROLE_KEY_MARK}")  # for a night that is killed before it has a line
        assert json.loads(left.read_text()) == mark
        published = b"".join(path.read_bytes() for path in (directory / "releases").rglob("*") if path.is_file())
        assert mark.encode() not in published
        assert ROLE_KEY.encode() not in published

    def test_its_gates_and_its_card_are_in_the_pages(self, api, nights):
        artifacts = [artifact for artifact in api.find("artifacts", **of_run(nights[1])) if artifact["key"]]
        gates = {"gate-raw-interactions", "gate-matrix", "gate-synthetic", "gate-release"}
        assert {artifact["key"] for artifact in artifacts} == {*gates, "release"}
        assert {artifact["type"] for artifact in artifacts} == {"markdown"}
        assert all("PASS" in artifact["description"] for artifact in artifacts if artifact["key"] in gates)

    def test_its_tasks_are_on_record(self, api, nights):
        tasks = eventually("the tasks are recorded", lambda: api.find("task_runs", **of_run(nights[1])))
        assert {"ingest", "matrix", "pretrain", "diffuse", "sample", "publish"} <= {task["name"] for task in tasks}
        assert {task["state"]["type"] for task in tasks} == {"COMPLETED"}

    def test_its_log_is_in_the_pages(self, api, nights):
        messages = [line["message"] for line in api.find("logs", logs={"flow_run_id": {"any_": [nights[1]["id"]]}})]
        assert "ingest begins" in messages
        assert any(message.startswith("vae epoch 1/") for message in messages)

    def test_its_result_is_no_pickle(self, home, nights):
        stored = [path for path in (home / "storage").rglob("*") if path.is_file()]
        assert stored
        assert all(json.loads(path.read_text()) for path in stored)

    def test_a_second_night_meanwhile_is_cancelled(self, nights):
        _, _, second = nights
        assert second["state"]["type"] == "CANCELLED"
        assert "concurrency limit" in second["state"]["message"]
