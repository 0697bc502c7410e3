"""`sdrm serve`, and the server of our own under it: up in one command, gone without a trace, nothing from outside."""

import asyncio
import base64
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from unittest.mock import AsyncMock, Mock

import httpx
import psutil
import pytest

from flows import serve
from flows.serve import nightly_schedule
from flows.server import LocalServer, require_reachable
from sdrm_core.config import PipelineConfig
from sdrm_core.config.file import load_config
from sdrm_core.errors import ConfigError, SdrmError
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
    """Return where Prefect's home will be, under a umask that leaves what it makes for all to read."""
    umask = os.umask(0o022)
    yield tmp_path_factory.mktemp("prefect") / "home"
    os.umask(umask)


@pytest.fixture(scope="module")
def env(home):
    return environment(home, PREFECT_RUNNER_POLL_FREQUENCY="1")


@pytest.fixture(scope="module")
def served(tmp_path_factory, env, home):
    """Serve the demo, whose night would take a while; yield the process, its address and its log."""
    port, log, directory = free_port(), home.parent / "serve.log", tmp_path_factory.mktemp("serve")
    (directory / "flows").mkdir()  # as in many a Prefect project: not to be taken for ours
    (directory / "flows" / "__init__.py").write_text("raise RuntimeError('the wrong flows')")
    config = str(ROOT / "deployments" / "demo.yaml")
    options = ("--port", str(port), "--cron", "30 3 * * 1", "--timezone", "Europe/Berlin")
    with started(command("sdrm", "serve", config, *options), env=env, log=log, cwd=directory) as process:
        eventually("the schedule is served", lambda: "until interrupted" in log.read_text() or process.poll())
        assert process.poll() is None, log.read_text()
        yield process, f"http://127.0.0.1:{port}", directory


@pytest.fixture
def serve_again(served, home, monkeypatch):
    """Return a function that serves the demo a second time, on the same server and with the same home."""
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    monkeypatch.chdir(served[2])
    monkeypatch.setattr(serve, "_serve", Mock(side_effect=AssertionError("it is served")))

    def serve_again(*overrides):
        config = load_config(ROOT / "deployments" / "demo.yaml", overrides)
        schedule = nightly_schedule("0 2 * * *", timezone="UTC")
        with temporary_settings({PREFECT_API_URL: f"{served[1]}/api", PREFECT_HOME: home}):
            serve.serve_nightly(config, port=4200, schedule=schedule)

    return serve_again


class TestServed:
    def test_its_schedule_is_on_the_server(self, served):
        deployment = eventually("it is deployed", lambda: Api(f"{served[1]}/api").deployment("served-demo"))
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

    def test_a_deployment_that_workers_run_is_not_taken_over(self, served, serve_again):
        api = Api(f"{served[1]}/api")
        api.create("/work_pools/", name="nightly", type="process")
        flow = api.create("/flows/", name="regenerate")["id"]
        mine = api.create("/deployments/", name="served-shop", flow_id=flow, work_pool_name="nightly")
        with pytest.raises(ConfigError, match="has a deployment regenerate/served-shop for the workers of nightly"):
            serve_again("dataset=shop")
        assert api.deployment("served-shop")["updated"] == mine["updated"]

    def test_a_data_set_is_served_once(self, serve_again):
        with pytest.raises(SdrmError, match="another process is at work in"):
            serve_again()

    def test_interrupted_in_a_night_it_leaves_nothing_behind(self, served, home):
        process, url, _ = served
        log = home.parent / "serve.log"
        api = Api(f"{url}/api")
        run = api.begin(eventually("it is deployed", lambda: api.deployment("served-demo"))["id"])
        eventually("the night has begun", lambda: api.state(run) == "RUNNING")
        # Not between tasks or while modules are imported: Prefect's exception would be lost in a callback or an error.
        eventually("it is at work", lambda: "vae epoch" in log.read_text())
        assert list((home / "concurrency_leases").glob("*.json"))  # its claim would survive the server's end
        family = family_of(process)
        assert len(family) >= 3  # itself, the server, the night
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
        _, alive = psutil.wait_procs(family - {psutil.Process()}, timeout=20)
        assert alive == []
        assert "Traceback" not in log.read_text()


def waits_for_a_lock(family):
    waiting = re.findall(r"-> FLOCK +\S+ +\S+ (\d+)", Path("/proc/locks").read_text())
    return {process.pid for process in family} & set(map(int, waiting))


def test_a_link_is_followed_every_night_anew(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("today.csv", "releases"):
        (tmp_path / name).symlink_to(tmp_path / "monday" / name)
    rooted = serve._rooted(PipelineConfig.model_validate({"dataset": "shop", "source": {"uri": "today.csv"}}))
    assert rooted.source.uri == str(tmp_path / "today.csv")
    assert rooted.paths.releases == tmp_path / "releases"


def test_a_signal_while_the_runner_starts_ends_it(monkeypatch):
    class Starting:
        started = False
        aadd_deployment = AsyncMock()

        def __init__(self, name):
            self.name = name

        async def start(self):
            asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)
            await asyncio.sleep(60)

    monkeypatch.setattr(serve, "Runner", Starting)
    serving = serve._serve(
        Mock(ato_deployment=AsyncMock()), PipelineConfig(), nightly_schedule("0 2 * * *", timezone="UTC")
    )
    asyncio.run(asyncio.wait_for(serving, 20))


@pytest.mark.parametrize(
    ("cron", "timezone", "sentence"),
    [
        ("0 25 * * *", "UTC", "--cron: Invalid cron string"),
        ("* * * * * *", "UTC", "--cron: needs five fields"),
        ("0 0 31 2 *", "UTC", "--cron: has no next date"),
        ("0 0 31 2 *", "Europe/Berln", "--cron: has no next date.*\n--timezone: Invalid timezone"),
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


@pytest.mark.parametrize(
    "address",
    ["u:s3cret@127.0.0.1/api", "http://u:s3cret/x@127.0.0.1/api", "127.0.0.1:4200/api", "http://", "ftp://h/x"],
)
def test_what_is_no_address_of_a_server_is_a_sentence_without_it(address):
    with pytest.raises(ConfigError, match=r"^PREFECT_API_URL is not the address of a server\. Correct it") as refused:
        require_reachable(address)
    assert "s3c" not in str(refused.value)


@pytest.mark.parametrize("password", ["s3cret", "s3 cret", "1/s3cret", "@s3cret@"])
def test_a_password_of_any_signs_is_not_told(password):
    with pytest.raises(ConfigError, match="PREFECT_API_URL: no Prefect server answers at http://") as refused:
        require_reachable(f"http://u:{password}@127.0.0.1:{free_port()}/api")
    assert "cret" not in str(refused.value)


class WithPassword(BaseHTTPRequestHandler):
    """Answers whoever knows the password, as a Prefect server behind a proxy does."""

    def do_GET(self):
        is_known = self.headers["Authorization"] == f"Basic {base64.b64encode(b'admin:secret').decode()}"
        self.send_response(200 if is_known and self.path == "/api/health" else 401)
        self.end_headers()
        self.wfile.write(b"true")

    def log_message(self, *arguments):
        pass


def test_a_server_is_asked_as_prefect_asks_it_and_no_password_is_told():
    from prefect.settings import PREFECT_API_AUTH_STRING, temporary_settings

    with HTTPServer(("127.0.0.1", 0), WithPassword) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}/api"
        with temporary_settings({PREFECT_API_AUTH_STRING: "admin:secret"}):
            require_reachable(f"http://{address}")
        with pytest.raises(ConfigError, match=f"no Prefect server answers at http://{address} .*401") as refused:
            require_reachable(f"http://admin:wrong@{address}")
        assert "wrong" not in str(refused.value)
        server.shutdown()


class TestHiddenServer:
    def test_a_server_that_cannot_start_is_a_sentence(self, tmp_path):
        (tmp_path / "prefect.db").write_bytes(b"no database" * 1000)
        script = [sys.executable, "-c", HIDDEN_RUN]
        env = environment(tmp_path)
        done = subprocess.run(script, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.stderr.splitlines()[-1].startswith("sdrm_core.errors.SdrmError: Prefect's server ended with code")
        assert "file is not a database" in done.stderr.splitlines()[-1]

    def test_a_home_that_cannot_be_written_is_a_sentence(self):
        script, env = [sys.executable, "-c", HIDDEN_RUN], environment(Path("/sys"))  # not even root writes here
        done = subprocess.run(script, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
        told = done.stderr.splitlines()[-1]
        assert told.startswith("sdrm_core.errors.ConfigError: PREFECT_HOME: /sys cannot be used ("), told

    def test_a_flow_runs_on_it_after_others_have_started_and_it_goes_with_the_process(self, env, home):
        nowhere = dict.fromkeys(("http_proxy", "https_proxy"), f"http://127.0.0.1:{free_port()}")
        behind_a_proxy = {**env, **nowhere, "NO_PROXY": "intranet.example"}  # which is not asked for this machine
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        home.mkdir(exist_ok=True)
        with (home / ".starting").open("w") as other:  # two that create or migrate a database would disturb each other
            fcntl.flock(other, fcntl.LOCK_EX)
            script = [sys.executable, "-c", HIDDEN_RUN]
            with subprocess.Popen(script, cwd=ROOT, env=behind_a_proxy, **pipes) as process:
                eventually("it waits", lambda: waits_for_a_lock(family_of(process)) or process.poll() is not None)
                fcntl.flock(other, fcntl.LOCK_UN)
                told, complaints = process.communicate(timeout=120)
        assert process.returncode == 0, complaints
        result, url, has_server_code = told.split()
        assert (result, has_server_code) == ("done", "False")
        assert "Traceback" not in complaints
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
