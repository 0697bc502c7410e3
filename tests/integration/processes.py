"""Real processes for tests: started, watched, and gone at the end, whatever happened in between."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environment(home: Path, **settings: str) -> dict[str, str]:
    """Return the environment without any trace of a Prefect server that may be configured here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "SDRM_"))}
    return {**kept, "DO_NOT_TRACK": "1", "PREFECT_HOME": str(home), **settings}


def command(name: str, *arguments: str) -> list[str]:
    return [str(BIN / name), *arguments]


@contextmanager
def started(arguments: list[str], *, env: dict[str, str], log: Path, cwd: Path = ROOT) -> Iterator[subprocess.Popen]:
    """Run a command beside the test; at the end kill it and everything it started, directly or not."""
    with log.open("w") as output:
        process = subprocess.Popen(
            arguments, cwd=cwd, env=env, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    family: set[psutil.Process] = set()
    try:
        yield process
    finally:
        family |= family_of(process)
        for member in family:
            if member.is_running():
                member.kill()
        process.wait()
        psutil.wait_procs(family, timeout=10)


def family_of(process: subprocess.Popen) -> set[psutil.Process]:
    """Return the processes that are running now because of ``process``, itself included."""
    try:
        parent = psutil.Process(process.pid)
        return {parent, *parent.children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()


def eventually(what: str, look: Callable[[], Any], *, seconds: float = 120, every: float = 0.25) -> Any:
    """Return the first true answer of ``look``; an unreachable server is not there yet."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if answer := look():
                return answer
        except httpx.TransportError:
            pass
        time.sleep(every)
    raise AssertionError(f"after {seconds:.0f} s still not so: {what}")


class Api:
    """The few questions the tests ask a Prefect server; while its database is busy they are asked again."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def is_healthy(self) -> bool:
        return self._http.get("/health").is_success

    def get(self, path: str) -> Any:
        return self._ask("GET", path).raise_for_status().json()

    def find(self, what: str, **criteria: Any) -> list[dict[str, Any]]:
        return self._ask("POST", f"/{what}/filter", criteria).raise_for_status().json()

    def deployment(self, name: str = "nightly") -> dict[str, Any] | None:
        answer = self._ask("GET", f"/deployments/name/regenerate/{name}")
        return answer.json() if answer.is_success else None

    def create(self, path: str, **content: Any) -> dict[str, Any]:
        return self._ask("POST", path, content).raise_for_status().json()

    def trigger(self, deployment_id: str, config: dict[str, Any] | None = None) -> httpx.Response:
        """Ask for a night with this configuration, or with the deployment's own."""
        parameters = {"parameters": {"config": config}} if config else {}
        return self._ask("POST", f"/deployments/{deployment_id}/create_flow_run", parameters)

    def begin(self, deployment_id: str, config: dict[str, Any] | None = None) -> str:
        """Start a night and return the run's id."""
        answer = self.trigger(deployment_id, config)
        assert answer.is_success, answer.text
        return answer.json()["id"]

    def state(self, run_id: str) -> str:
        return self.get(f"/flow_runs/{run_id}")["state"]["type"]

    def _ask(self, method: str, path: str, content: Any = None) -> httpx.Response:
        def answer() -> list[httpx.Response]:
            response = self._http.request(method, path, json=content)
            return [] if response.status_code == httpx.codes.SERVICE_UNAVAILABLE else [response]

        (response,) = eventually("the database is free", answer)
        return response
