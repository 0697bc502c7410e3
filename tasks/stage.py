"""What all stages share: retries, the measurement of time and memory, and the log."""

import errno
import logging
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ParamSpec, Self, TypeVar

import httpx
import psutil
from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import exponential_backoff

from sdrm_core.storage import write_json
from tasks.records import Run
from tasks.working_directory import stage_record

P = ParamSpec("P")
R = TypeVar("R")

LOG = logging.getLogger("sdrm")
_SAMPLE_SECONDS = 0.05
_ASK_LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
# Errors of the operating system for which a retry cannot help.
_WRONG_PATH = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LASTING = _WRONG_PATH | _NOT_ALLOWED | _NO_ROOM


def is_transient(task: Task[Any, Any], task_run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - Prefect's names
    """Return whether a retry can succeed: yes after temporary network or disk errors, never after other errors."""
    error = state.data
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.is_server_error or error.response.status_code in _ASK_LATER
    if isinstance(error, OSError):
        return error.errno not in _LASTING
    return isinstance(error, httpx.TransportError)


def stage(name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Turn a function into a Prefect task ``name`` with up to 3 retries."""
    return task(
        name=name,
        task_run_name=name,
        retries=3,
        retry_delay_seconds=exponential_backoff(backoff_factor=2),
        retry_jitter_factor=0.5,
        retry_condition_fn=is_transient,
        cache_policy=NO_CACHE,
    )


class Meter:
    """Measures wall time and peak memory of a stage during a ``with`` block, and logs the beginning."""

    def __init__(self, name: str, *, attempt: int | None = None) -> None:
        """Prepare to measure; the stages before the first attempt to sample have no ``attempt``."""
        self._name = name
        self._attempt = attempt or 0
        self._peak_bytes = 0
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._watch_memory, daemon=True)

    def __enter__(self) -> Self:
        LOG.info("%s begins", self._name, extra={"stage": self._name})
        self._started = time.perf_counter()
        self._watch.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._seconds = time.perf_counter() - self._started
        self._ended.set()
        self._watch.join()

    def save(self, run: Run) -> None:
        """Write seconds and peak memory (in MiB) to a file in ``stages`` in the run's directory."""
        numbers = {"seconds": round(self._seconds, 3), "peak_rss_mb": self._peak_bytes >> 20, "cached": False}
        write_json(stage_record(run.directory, self._name, attempt=self._attempt), numbers)

    def _watch_memory(self) -> None:
        process = psutil.Process()
        while True:
            self._peak_bytes = max(self._peak_bytes, process.memory_info().rss)
            if self._ended.wait(_SAMPLE_SECONDS):
                return
