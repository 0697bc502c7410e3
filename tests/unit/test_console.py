"""The display watches the work and never stands in its way."""

import io
import logging
import os
import pty
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from rich.console import Console
from rich.progress import Progress

from flows import cli
from flows.console import _KEPT_BARS, _Bars, progress_shown
from sdrm_core.model.training import EpochReport

LOG = logging.getLogger("sdrm")


class Shown:
    """What a terminal shows of the log, at a time that passes by hand."""

    def __init__(self):
        self.seconds = 0.0
        console = Console(file=io.StringIO(), force_terminal=True)
        self._progress = Progress(console=console, get_time=lambda: self.seconds)
        self.handler = _Bars(self._progress)
        self.handler.handleError = self._raise

    def _raise(self, record):
        raise AssertionError(record.getMessage())

    def bars(self):
        return {bar.description: bar for bar in self._progress.tasks}


@pytest.fixture
def shown(caplog):
    shown = Shown()
    caplog.set_level(logging.DEBUG, logger=LOG.name)
    LOG.addHandler(shown.handler)
    yield shown
    LOG.removeHandler(shown.handler)


def begin(stage):
    LOG.info("%s begins", stage, extra={"stage": stage})


def train(stage, *, rounds, of):
    for epoch in rounds:
        report = EpochReport(stage=stage, epoch=epoch, of_epochs=of, loss=0, validation=0, best=0)
        LOG.debug("%s %d/%d", stage, epoch, of, extra={"epoch": report})


def in_another_thread(work):
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(work).result()


def test_a_bar_is_kept_as_long_as_its_thread_works_on_it_however_many_stages_another_ends(shown):
    begin("fit")
    train("margins", rounds=range(1, 9), of=8)
    in_another_thread(lambda: [begin(f"measure {number}") for number in range(_KEPT_BARS + 3)])
    train("pairs", rounds=[1], of=8)
    fit = shown.bars()["pairs 1/8"]
    assert (fit.completed, fit.total, fit.finished) == (1, 8, False)


def test_of_the_stages_that_ended_the_last_are_kept(shown):
    for number in range(_KEPT_BARS + 3):
        begin(str(number))
    assert list(shown.bars()) == [str(number) for number in range(2, _KEPT_BARS + 3)]
    assert [bar.finished for bar in shown.bars().values()] == [True] * _KEPT_BARS + [False]


def test_the_clock_of_a_stage_runs_until_it_ends_whatever_number_of_epochs_its_parts_have(shown):
    begin("fit")
    for part in ("margins", "pairs"):
        shown.seconds += 60
        train(part, rounds=range(1, 9), of=8)
    shown.seconds += 60
    train("last", rounds=[1], of=1)
    shown.seconds += 60
    begin("measure")
    assert shown.bars()["last 1/1"].finished_time == 240


def test_a_display_that_fails_stops_no_work_and_is_told_of(monkeypatch, capsys):
    def fail(*arguments, **options):
        raise OSError("the terminal is gone")

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("rich.progress.Progress.add_task", fail)
    with progress_shown():
        begin("fit")
    assert "the terminal is gone" in capsys.readouterr().err


def test_a_terminal_that_goes_away_stops_no_work(monkeypatch):
    terminal, here = pty.openpty()
    with os.fdopen(here, "w", buffering=1, closefd=False) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with progress_shown():
            os.close(terminal)
            begin("fit")
        os.dup2(os.open(os.devnull, os.O_WRONLY), here)  # for what the stream still holds
    os.close(here)


NIGHT = """
import logging
import sys
from flows import cli
from flows import cli
from flows.console import progress_shown
from sdrm_core.errors import GateFailed

def night(arguments):
    with progress_shown():
        logging.getLogger("sdrm").info("fit begins")
    print("published", flush=True)
    if arguments == ["refused"]:
        raise GateFailed("no")

cli.app = night
cli.main()
"""


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["refused"], 3)])
@pytest.mark.parametrize("log", ["/dev/full", "a closed pipe"])
def test_a_log_that_nobody_can_write_costs_neither_the_night_nor_its_exit_code(log, arguments, code):
    stream = open_closed_pipe() if log == "a closed pipe" else os.open(log, os.O_WRONLY)
    command = [sys.executable, "-c", NIGHT, *arguments]
    try:
        ended = subprocess.run(command, cwd=cli.SHIPPED.parent, stdout=subprocess.PIPE, stderr=stream, check=False)
    finally:
        os.close(stream)
    assert (ended.stdout, ended.returncode) == (b"published\n", code)


def open_closed_pipe():
    """Return the end to write to of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing
