import errno
import json
import logging
import os
import re
import signal
import subprocess
import sys
from unittest.mock import Mock

import httpx
import pytest

from flows import cli
from sdrm_core.errors import ConfigError, DataError, GateFailed


def test_an_interruption_is_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(cli, "app", Mock(side_effect=SystemExit(cli.INTERRUPTED)))
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 130
    assert capsys.readouterr().err == "sdrm: interrupted; the same command, run again, reuses what is finished\n"


def test_a_termination_is_a_sentence_and_stays_one():
    script = "import signal; from flows import cli; cli.app = lambda _: signal.raise_signal(signal.SIGTERM); cli.main()"
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=cli.SHIPPED.parent, capture_output=True, text=True, check=False
    )
    assert ended.returncode == -signal.SIGTERM
    assert ended.stderr == "sdrm: interrupted; the same command, run again, reuses what is finished\n"


@pytest.fixture
def sdrm(monkeypatch, capsys, tmp_path):
    """Return a function that runs a command which must end before a server is looked for: (exit code, its lines)."""
    monkeypatch.setattr(cli, "_connect", Mock(side_effect=AssertionError("a server was started")))
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["sdrm", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, capsys.readouterr().err.splitlines()

    return run


@pytest.mark.parametrize("command", [["run", "night.yaml"], ["compare", "--out", "out"], ["tune", "--out", "out"]])
def test_a_mistyped_file_is_told_before_a_server_is_started(sdrm, tmp_path, command):
    (tmp_path / "night.yaml").write_text("dataset: shop")
    code, lines = sdrm(*command, "--source", "nowhere.csv", "--set", "dataset=shop")
    remedy = "Check source.uri; relative paths start at the current directory."
    assert (code, lines) == (4, [f"sdrm: nowhere.csv: there is no such file. {remedy}"])
    if command[0] == "run":
        (line,) = (tmp_path / "work" / "runs.jsonl").read_text().splitlines()
        assert json.loads(line)["verdict"] == "failed: DataError"


def test_a_path_of_any_characters_is_taken_as_it_is(tmp_path):
    paths = {name: tmp_path / f"{name}, späce 🙂 𠮷" for name in ("releases", "work")}
    config = cli._configured(None, overrides=["dataset=shop"], source="sub 🙂.csv", **paths)
    assert config.source.uri == "sub 🙂.csv"
    assert (config.paths.releases, config.paths.work) == (paths["releases"], paths["work"])


def test_all_that_is_wrong_with_a_comparison_is_told_at_once(sdrm):
    wrong = ["--arms", "popularity,foo", "--judges", "svd,bar", "--seeds", "0,x", "--set", "sede=1"]
    code, lines = sdrm("compare", "--out", "out", *wrong)
    assert code == 2
    told = ("Did you mean seed", "--arms: there is no arm 'foo'", "--judges: there is no judge 'bar'", "--seeds: 'x'")
    assert len(lines) == len(told)
    assert all(part in line for part, line in zip(told, lines, strict=True))


def test_all_that_is_wrong_with_a_schedule_is_told_at_once(sdrm, tmp_path):
    (tmp_path / "night.yaml").write_text("sede: 1")
    code, lines = sdrm("serve", "night.yaml", "--cron", "61 2 * * *", "--timezone", "Europe/Berln")
    assert code == 2
    assert [line.partition(": ")[0] for line in lines] == ["sdrm", "--cron", "--timezone"]


@pytest.mark.parametrize("minutes", ["inf", "nan", "-1"])
def test_a_search_needs_an_end(sdrm, minutes):
    code, lines = sdrm("tune", "--out", "x", "--minutes", minutes)
    assert code == 2
    assert "Invalid value for '--minutes'" in " ".join(lines)


def test_the_home_directory_is_understood_where_results_go(sdrm, tmp_path, monkeypatch):
    sampled = Mock(return_value="there")
    monkeypatch.setattr("tasks.more.sample_more", sampled)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sdrm("sample", "model", "--users", "5", "--out=~/more")[0] == 0
    assert sampled.call_args.kwargs["out"] == tmp_path / "more"


def test_a_sample_warns_as_other_commands_do(sdrm, monkeypatch):
    def sampled(*arguments, **options):
        logging.getLogger("sdrm").warning("these users may expose real people")
        return "there"

    monkeypatch.setattr("tasks.more.sample_more", sampled)
    code, lines = sdrm("sample", "model", "--users", "5", "--out=more")
    assert code == 0
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING these users may expose real people", lines[-1])


@pytest.mark.parametrize("option", [["--out", "~nobody-here/x"], ["--out", "x", "--work", "~nobody-here/x"]])
def test_a_home_directory_that_is_not_there_is_told(sdrm, option):
    code, lines = sdrm("sample", "model", "--users", "5", *option)
    assert code == 2
    assert "home directory that does not exist" in " ".join(lines)


@pytest.mark.parametrize(
    "command",
    [
        ["run", "night.yaml", "--source"],
        ["demo", "--releases"],
        ["demo", "--work"],
        ["compare", "--out"],
        ["sample", "model", "--users=5", "--out"],
    ],
)
def test_a_path_that_is_not_text_is_told_at_its_option(sdrm, tmp_path, command):
    code, lines = sdrm(*command, "x\udcff")
    assert (code, lines) == (2, [f"sdrm: {command[-1]}: a path must be text in UTF-8; choose another name"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command",
    [
        ["demo", "--releases"],
        ["demo", "--work"],
        ["compare", "--out"],
        ["tune", "--out"],
        ["sample", "model", "--users=5", "--out"],
    ],
)
def test_a_url_is_no_directory(sdrm, tmp_path, command):
    code, lines = sdrm(*command, "s3://key:hunter2@bucket/rel")
    told = "must be a local directory, not a URL; copy the result there afterwards"
    assert (code, lines) == (2, [f"sdrm: {command[-1]}: {told}"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (
            PermissionError(13, "Permission denied", "work/1/model"),
            4,
            "sdrm: work/1/model: no permission. Give the user",
        ),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "work/1/model"),
            4,
            "sdrm: there is no space left on a disk ([Errno 28] No space left on device: 'work/1/model'). "
            "Free some space, or choose other directories",
        ),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), 4, "sdrm: there is no space left on a disk ("),
        (
            RuntimeError("I/O error: No space left on device (os error 28)"),
            4,
            "sdrm: there is no space left on a disk (I/O",
        ),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "sdrm: there is not enough memory (Default"),
        (RuntimeError("CUDA out of memory."), 1, "sdrm: there is not enough memory (CUDA"),
        (
            httpx.ConnectError("refused"),
            1,
            "sdrm: Prefect's server no longer answers (refused). After sdrm run, see the last line of runs.jsonl ",
        ),
        (MemoryError("Unable to allocate 1 TiB"), 1, "sdrm: there is not enough memory (Unable"),
    ],
)
def test_what_the_machine_refuses_is_told_with_a_remedy(monkeypatch, capsys, error, code, told):
    monkeypatch.setattr(cli, "app", Mock(side_effect=error))
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == code
    assert capsys.readouterr().err.startswith(told)


@pytest.mark.parametrize(
    ("error", "code"), [(GateFailed("no"), 3), (DataError("no"), 4), (ConfigError("no"), 2), (ZeroDivisionError(), 1)]
)
def test_a_traceback_costs_no_exit_code(monkeypatch, capsys, error, code):
    monkeypatch.setattr(cli, "app", Mock(side_effect=error))
    monkeypatch.setattr(sys, "argv", ["sdrm", "demo", "--debug"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == code
    assert "Traceback" in capsys.readouterr().err


def test_the_options_of_a_comparison_are_read_before_what_takes_seconds_to_import():
    script = "import sys, tasks.compare.plan; print({'prefect', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
