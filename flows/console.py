"""Show progress on standard error: as bars on a terminal, otherwise as lines."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

_KEPT_BARS = 15


@contextmanager
def progress_shown() -> Iterator[None]:
    """Show the pipeline's log messages during the block. A message that cannot be written is lost, and stops no run."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    logger = logging.getLogger("sdrm")
    level = logger.level
    with _bars(console) if console.is_terminal else nullcontext(_lines()) as handler:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)


def _lines() -> logging.Handler:
    """Return a handler that writes one line for each message of level INFO or above."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.INFO)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S"))
    return handler


@contextmanager
def _bars(console: Console) -> Iterator[logging.Handler]:
    """Yield a handler that shows bars on the terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=console)
    progress.start()
    try:
        yield _Bars(progress)
    finally:
        with suppress(OSError):  # the terminal may be gone
            progress.stop()


class _Bars(logging.Handler):
    """One bar for each stage; the training epochs of its thread move it.

    Older bars disappear; warnings are printed above the bars. An error of the display is reported as ``logging`` does
    it, and does not stop the run.
    """

    def __init__(self, progress: Progress) -> None:
        super().__init__(logging.DEBUG)
        self._progress = progress
        self._current: dict[int | None, TaskID] = {}

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._show(record)
        except Exception:  # noqa: BLE001 - no error of the display may end a run
            self.handleError(record)

    def _show(self, record: logging.LogRecord) -> None:
        current = self._current.get(record.thread)
        if hasattr(record, "stage"):
            if current is not None:
                self._move(current, completed=1, total=1)
            self._current[record.thread] = self._progress.add_task(record.stage, total=None)
            self._make_room()
        elif hasattr(record, "epoch") and current is not None:
            epoch = record.epoch
            self._move(current, completed=epoch.epoch, total=epoch.of_epochs, description=record.getMessage())
        elif record.levelno >= logging.WARNING:
            self._progress.console.print(f"{record.levelname.lower()}: {record.getMessage()}", markup=False)

    def _move(self, bar: TaskID, *, completed: int, total: int, description: str | None = None) -> None:
        self._progress.update(bar, total=math.inf)  # restarts the clock of a full bar, which needs a new total
        self._progress.update(bar, completed=completed, total=total, description=description)

    def _make_room(self) -> None:
        current = set(self._current.values())  # also full bars: a fit has several rounds of epochs
        ended = [bar.id for bar in self._progress.tasks if bar.id not in current]
        for bar in ended[:-_KEPT_BARS]:  # a comparison has hundreds of stages, a terminal a few dozen lines
            self._progress.remove_task(bar)
