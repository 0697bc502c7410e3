"""A local Prefect server in a child process: without web pages for one run, or with them for ``sdrm serve``.

Prefect could start such a server itself, but later (after its own imports and those of the server), and it would leave
the server running if this process is killed. The child process runs this module as ``python -m flows.server``.
"""

import atexit
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import httpx

from sdrm_core.errors import ConfigError, SdrmError

HOST = "127.0.0.1"
_STARTING = ".starting"  # locked while a server starts; in Prefect's home
_START_SECONDS = 120.0  # the first start creates the database: seconds on an idle machine, a minute on a busy one
_STOP_SECONDS = 10.0
_DYING_SECONDS = 60.0  # from closing its connections to its end: a moment on an idle machine

# A hidden server needs no web pages, block catalogue, event history or triggers, and the messages that it logs while it
# is stopped are not useful.
_HIDDEN = {
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
}
# By default, leases are kept in memory: if the server ended during a run, a concurrency slot would stay occupied.
_WITH_PAGES = {"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem"}


class LocalServer:
    """A Prefect server that listens only on this machine and ends when this process ends, in any way.

    Its socket is open from the start: a client that connects while the server is loading waits for the answer.
    """

    def __init__(self, *, pages: bool, port: int = 0) -> None:
        """Start the server; port 0 means any free port."""
        self._messages = None if pages else tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the server
        with _listener(port) as listener:
            self.url = f"http://{HOST}:{listener.getsockname()[1]}"
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(listener.fileno()), "pages" if pages else "hidden"],
                stdin=subprocess.PIPE,  # never written to; the server ends when this pipe is closed
                stdout=self._messages,
                stderr=self._messages,
                pass_fds=[listener.fileno()],
                env=_environment(pages=pages, port=listener.getsockname()[1]),
                start_new_session=True,  # Ctrl-C must not reach the server, needed until this process ends
            )

    def use(self) -> None:
        """Make this process and its child processes use this server."""
        from prefect.context import refresh_global_settings_context

        os.environ["PREFECT_API_URL"] = f"{self.url}/api"
        _reach_without_proxy()
        refresh_global_settings_context()

    def wait(self) -> None:
        """Wait until the server answers.

        Raises:
            SdrmError: the server ended or does not answer in time.
        """
        try:
            _require_health(f"{self.url}/api")
        except httpx.HTTPError as error:
            is_silent = isinstance(error, httpx.TimeoutException)
            fate = self._fate(_STOP_SECONDS if is_silent else _DYING_SECONDS)
            raise SdrmError(f"Prefect's server {fate} ({error!r}).{self._last_words()}") from None

    def stop(self) -> None:
        """End the server; kill it if it does not end within 10 seconds."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()

    def _fate(self, seconds: float) -> str:
        with suppress(subprocess.TimeoutExpired):
            return f"ended with code {self._process.wait(seconds)}"
        return "does not answer"

    def _last_words(self) -> str:
        if self._messages is None:  # its messages went to standard error
            return ""
        self._messages.seek(0)
        errors = re.findall(r"^[\w.]+(?:Error|Exception): .*", self._messages.read().decode(), flags=re.MULTILINE)
        return f" It said: {errors[-1]}" if errors else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def configured_api_url() -> str | None:
    """Return the API address of the server configured in the environment or Prefect profile, or None.

    A missing PREFECT_HOME is created, readable by its owner only.

    Raises:
        ConfigError: PREFECT_HOME cannot be created or written.
    """
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    _require_home(settings.home)
    return settings.api.url


def connect() -> Callable[[], None]:
    """Start a hidden server unless one is configured; return a function that waits for the server's first answer.

    Import the flow before calling this function: the server loads at the same time.
    """
    url = configured_api_url()
    if url:
        _reach_without_proxy()
        return lambda: require_reachable(url)
    server = LocalServer(pages=False)
    # Registered before Prefect's exit handlers, so that it runs after them: they still need the server.
    atexit.register(server.stop)
    server.use()
    return server.wait


def require_reachable(api_url: str) -> None:
    """Raise a ``ConfigError`` if this is not the address of a server, or if the server does not answer.

    The check uses Prefect's own client, which knows the certificate, the password and the proxy for the server.
    """
    _require_address(api_url)
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY

    keys = {"auth_string": PREFECT_API_AUTH_STRING.value(), "api_key": PREFECT_API_KEY.value()}
    with SyncPrefectClient(api_url, **keys) as client:
        error = client.api_healthcheck()
    if error:
        address, reason = (without_password(text) for text in (api_url, str(error).partition("\n")[0]))
        raise ConfigError(
            f"PREFECT_API_URL: no Prefect server answers at {address} ({reason}). "
            "Start it, correct the address, or unset it to run without one"
        )


def without_password(text: str) -> str:
    """Return the text without user name and password in its URL; to be safe, rather more than these is removed."""
    return re.sub("//.*@", "//", text, flags=re.DOTALL)


def _require_address(api_url: str) -> None:
    try:
        url = httpx.URL(api_url)
        if url.scheme in ("http", "https") and url.host:
            return
    except httpx.InvalidURL:
        pass
    raise ConfigError(  # without the address: where a password is in it cannot be told
        "PREFECT_API_URL is not the address of a server. Correct it, e.g. to http://127.0.0.1:4200/api (in a password, "
        "write special characters as %2F), or unset it to run without a server"
    )


def _reach_without_proxy() -> None:
    """Add this machine to ``no_proxy`` and ``NO_PROXY``; earlier entries are kept."""
    names = ("no_proxy", "NO_PROXY")
    excepted = {one.strip() for name in names for one in os.environ.get(name, "").split(",")} - {""}
    os.environ.update(dict.fromkeys(names, ",".join(sorted({*excepted, HOST, "localhost"}))))


def _require_health(api_url: str) -> None:
    with httpx.Client(trust_env=False, timeout=_START_SECONDS) as client:
        client.get(f"{api_url}/health").raise_for_status()


def _listener(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"--port: the server cannot listen on port {port} of {HOST} ({error.strerror}). Choose another port"
        ) from None
    return listener


def _environment(*, pages: bool, port: int) -> dict[str, str]:
    address = {"PREFECT_SERVER_API_HOST": HOST, "PREFECT_SERVER_API_PORT": str(port)}
    return {**(_WITH_PAGES if pages else _HIDDEN), **os.environ, **address}


def _require_home(home: Path) -> None:
    from sdrm_core.storage import private_directory  # imported here, so that the child does not load NumPy and SciPy

    try:
        private_directory(home)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise ConfigError(
            f"PREFECT_HOME: {home} cannot be used ({error.strerror}). Name a directory of your own"
        ) from None


def _serve(descriptor: int, *, pages: bool) -> None:
    """Run the server in this process until it is stopped or the parent process has ended."""
    threading.Thread(target=_end_with_parent, daemon=True).start()

    import uvicorn
    from prefect.server.api.server import create_app

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            with _alone():  # Prefect creates or migrates the database here; two at once would disturb each other
                await super().startup(sockets)

    config = uvicorn.Config(
        create_app(ephemeral=not pages, final=True),
        log_level="error",
        lifespan="on",
        timeout_graceful_shutdown=2,
    )
    with suppress(KeyboardInterrupt):
        Server(config).run(sockets=[socket.socket(fileno=descriptor)])


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other process of this machine is in such a block with the same ``PREFECT_HOME``."""
    from prefect.settings import get_current_settings

    with (get_current_settings().home / _STARTING).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _end_with_parent() -> None:
    os.read(0, 1)  # the parent never writes, so this returns when the parent closes the pipe or ends
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), pages=sys.argv[2] == "pages")
