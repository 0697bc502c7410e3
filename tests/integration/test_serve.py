"""`sdrm serve`, and the server of our own under it: up in one command, gone without a trace, nothing from outside."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from flows.serve import nightly_schedule
from flows.server import LocalServer, require_reachable
from sdrm_core.errors import ConfigError
from tests.integration.processes import ROOT, Api, command, environment, eventually, family_of, free_port, started

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

HIDDEN_RUN = """
import os, sys
from flows.server import connect
ready = connect()
from prefect import flow
@flow
def night():
    return "done"
ready()
print(night(), os.environ["PREFECT_API_URL"], "prefect.server.api.server" in sys.modules, flush=True)
if "--linger" in sys.argv:
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="module")
def env(home):
    return environment(home, PREFECT_RUNNER_POLL_FREQUENCY="1")


@pytest.fixture(scope="module")
def served(tmp_path_factory, env, home):
    """Serve the demo, whose night would take a while; yield the process, its address and its log."""
    port, log, directory = free_port(), home / "serve.log", tmp_path_factory.mktemp("serve")
    (directory / "flows").mkdir()  # as in many a Prefect project: not to be taken for ours
    (directory / "flows" / "__init__.py").write_text("raise RuntimeError('the wrong flows')")
    config = str(ROOT / "deployments" / "demo.yaml")
    options = ("--port", str(port), "--cron", "30 3 * * 1", "--timezone", "Europe/Berlin")
    with started(command("sdrm", "serve", config, *options), env=env, log=log, cwd=directory) as process:
        eventually("the schedule is served", lambda: "until interrupted" in log.read_text() or process.poll())
        assert process.poll() is None, log.read_text()
        yield process, f"http://127.0.0.1:{port}", directory


class TestServed:
    def test_its_schedule_is_on_the_server(self, served):
        deployment = eventually("it is deployed", Api(f"{served[1]}/api").deployment)
        (schedule,) = deployment["schedules"]
        assert schedule["active"]
        assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("30 3 * * 1", "Europe/Berlin")
        assert deployment["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
        assert Path(deployment["parameters"]["config"]["paths"]["releases"]) == served[2] / "releases"

    def test_its_page_names_no_outside_host(self, served):
        page = httpx.get(served[1], trust_env=False)
        assert page.is_success
        sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert sources
        assert not [source for source in sources if "//" in source]

    @pytest.mark.skipif(BROWSER is None, reason="needs a browser on PATH: chromium or google-chrome")
    def test_its_page_asks_no_outside_host(self, served, tmp_path):
        log = tmp_path / "net.json"
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000", f"--log-net-log={log}")
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        subprocess.run(
            [BROWSER, *options, profile, "--dump-dom", served[1]], check=True, capture_output=True, timeout=90
        )
        requests = [event["params"] for event in json.loads(log.read_text())["events"] if "params" in event]
        asked = {r["url"] for r in requests if str(r.get("initiator", "")).startswith(served[1]) and "url" in r}
        assert any("/api/" in url for url in asked)
        assert not [url for url in asked if not url.startswith((served[1], "ws://127.0.0.1", "data:", "blob:"))]

    def test_its_home_is_private(self, served, home):
        assert home.stat().st_mode & 0o077 == 0

    def test_interrupted_in_a_night_it_leaves_nothing_behind(self, served, home):
        process, url, _ = served
        log = home / "serve.log"
        api = Api(f"{url}/api")
        run = api.begin(eventually("it is deployed", api.deployment)["id"])
        eventually("the night has begun", lambda: api.state(run) == "RUNNING")
        assert list((home / "concurrency_leases").glob("*.json"))  # its claim would survive the server's end
        family = family_of(process)
        assert len(family) >= 3  # itself, the server, the night
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
        _, alive = psutil.wait_procs(family - {psutil.Process()}, timeout=20)
        assert alive == []
        assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("cron", "timezone", "sentence"),
    [
        ("0 25 * * *", "UTC", "--cron: Invalid cron string"),
        ("* * * * * *", "UTC", "--cron: needs five fields"),
        ("0 2 * * *", "Mars/Olympus", "--timezone: Invalid timezone"),
        ("61 2 * * *", "Europe/Berln", "--cron: Invalid cron string.*\n--timezone: Invalid timezone"),
        ("2 *", "Europe/Berln", "^--cron: needs five fields.*\n--timezone: Invalid timezone"),
    ],
)
def test_a_wrong_schedule_is_a_sentence(cron, timezone, sentence):
    with pytest.raises(ConfigError, match=sentence):
        nightly_schedule(cron, timezone=timezone)


def test_a_port_in_use_is_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ConfigError, match=r"--port: .*in use"):
        LocalServer(pages=True, port=other.getsockname()[1])


def test_a_configured_server_that_is_not_there_is_a_sentence():
    with pytest.raises(ConfigError, match="PREFECT_API_URL: no Prefect server answers"):
        require_reachable(f"http://127.0.0.1:{free_port()}/api")


class TestHiddenServer:
    def test_a_server_that_cannot_start_is_a_sentence(self, tmp_path):
        (tmp_path / "prefect.db").write_bytes(b"no database" * 1000)
        script = [sys.executable, "-c", HIDDEN_RUN]
        env = environment(tmp_path)
        done = subprocess.run(script, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.stderr.splitlines()[-1].startswith("sdrm_core.errors.SdrmError: Prefect's server ended with code")
        assert "file is not a database" in done.stderr.splitlines()[-1]

    def test_a_flow_runs_on_it_and_it_goes_with_the_process(self, env):
        script = [sys.executable, "-c", HIDDEN_RUN]
        nowhere = dict.fromkeys(("http_proxy", "https_proxy"), f"http://127.0.0.1:{free_port()}")
        behind_a_proxy = {**env, **nowhere, "NO_PROXY": "intranet.example"}  # which is not asked for this machine
        done = subprocess.run(
            script, cwd=ROOT, env=behind_a_proxy, capture_output=True, text=True, timeout=120, check=True
        )
        result, url, has_server_code = done.stdout.split()
        assert (result, has_server_code) == ("done", "False")
        assert "Traceback" not in done.stderr
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/health", trust_env=False)

    def test_it_goes_even_if_the_process_is_killed(self, env):
        script = [sys.executable, "-c", HIDDEN_RUN, "--linger"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(script, cwd=ROOT, env=env, **pipes, text=True) as process:
            assert process.stdout.readline().startswith("done")
            children = family_of(process) - {psutil.Process(process.pid)}
            process.kill()
        assert children
        _, alive = psutil.wait_procs(children, timeout=20)
        assert alive == []
