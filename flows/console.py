"""Progress on standard error: bars on a terminal, plain lines elsewhere."""

import logging
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


class _Lines(logging.Handler):
    """One line a message of level INFO or above."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        self._console.out(self.format(record), highlight=False)


class _Bars(logging.Handler):
    """One bar a stage, moved by the epochs of its thread; the last bars stay, warnings stand above them."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(logging.DEBUG)
        self._progress = progress
        self._current: dict[int | None, TaskID] = {}

    def emit(self, record: logging.LogRecord) -> None:
        current = self._current.get(record.thread)
        if hasattr(record, "stage"):
            if current is not None:
                self._progress.update(current, total=1, completed=1)
            self._make_room()
            self._current[record.thread] = self._progress.add_task(record.stage, total=None)
        elif hasattr(record, "epoch") and current is not None:
            epoch = record.epoch
            self._progress.update(
                current, description=record.getMessage(), total=epoch.of_epochs, completed=epoch.epoch
            )
        elif record.levelno >= logging.WARNING:
            self._progress.console.print(f"{record.levelname.lower()}: {record.getMessage()}", markup=False)

    def _make_room(self) -> None:
        finished = [bar.id for bar in self._progress.tasks if bar.finished]
        for bar in finished[:-_KEPT_BARS]:  # a comparison has hundreds of stages, a terminal a few dozen lines
            self._progress.remove_task(bar)
