"""Progress on standard error: bars on a terminal, plain lines elsewhere."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

_KEPT_BARS = 15


@contextmanager
def progress_shown() -> Iterator[None]:
    """Show what the pipeline logs while the block runs."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    logger = logging.getLogger("sdrm")
    bars = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console
    )
    handler = _Bars(bars) if console.is_terminal else _Lines(console)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        with bars:
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Display(logging.Handler):
    """Show each record; a display that fails is told of, as of any handler of the log, and stops no work."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._show(record)
        except Exception:  # noqa: BLE001 - whatever it is, a night of work is worth more
            self.handleError(record)

    def _show(self, record: logging.LogRecord) -> None:
        raise NotImplementedError


class _Lines(_Display):
    """One line a message of level INFO or above."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S"))

    def _show(self, record: logging.LogRecord) -> None:
        self._console.out(self.format(record), highlight=False)


class _Bars(_Display):
    """One bar a stage, moved by the epochs of its thread; the last bars stay, warnings stand above them."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(logging.DEBUG)
        self._progress = progress
        self._current: dict[int | None, TaskID] = {}

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
        self._progress.update(bar, total=math.inf)  # the clock of a bar that was full goes on only with another total
        self._progress.update(bar, completed=completed, total=total, description=description)

    def _make_room(self) -> None:
        current = set(self._current.values())  # full ones too: a fit has several rounds of epochs
        ended = [bar.id for bar in self._progress.tasks if bar.id not in current]
        for bar in ended[:-_KEPT_BARS]:  # a comparison has hundreds of stages, a terminal a few dozen lines
            self._progress.remove_task(bar)
