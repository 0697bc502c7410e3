"""The first command a newcomer runs, as it is shipped: nothing made smaller."""

import subprocess
from pathlib import Path

from tests.integration.processes import command, environment


def test_the_demo_publishes(tmp_path):
    demo = command("sdrm", "demo", "--releases", str(tmp_path / "releases"), "--work", str(tmp_path / "work"))
    env = environment(tmp_path / "prefect")
    ended = subprocess.run(demo, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    release = Path(ended.stdout.splitlines()[-1])
    assert release.parent == tmp_path / "releases" / "demo"
    assert (release / "manifest.json").is_file()
