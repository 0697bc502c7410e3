"""The first command a newcomer runs, as it is shipped: nothing made smaller."""

import subprocess
import sys
from pathlib import Path

COMMAND = "from flows.cli import main; main()"


def test_the_demo_publishes(tmp_path):
    places = ("--releases", str(tmp_path / "releases"), "--work", str(tmp_path / "work"))
    command = [sys.executable, "-c", COMMAND, "demo", *places]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    release = Path(ended.stdout.splitlines()[-1])
    assert release.parent == tmp_path / "releases" / "demo"
    assert (release / "manifest.json").is_file()
