"""Peak memory of ``sdrm sample`` at two numbers of users: it must not grow with them.

``python -m tests.benchmarks.sampling_memory WORK/<run>/model``
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

COMMAND = "import sys; from flows.cli import main; sys.argv[0] = 'sdrm'; main()"


def peak_bytes(model: Path, *, users: int) -> int:
    """Return the largest resident size of a process that samples ``users`` users."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "more"
        arguments = ["sample", str(model), "--users", str(users), "--out", str(out)]
        process = subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"sdrm sample ended with status {status}")
        return usage.ru_maxrss * 1024


def main() -> None:
    """Print both peaks and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--users", type=int, nargs=2, default=(5_000, 50_000))
    arguments = parser.parse_args()
    few, many = (peak_bytes(arguments.model, users=users) for users in arguments.users)
    print(f"| users | peak MB |\n|---|---|\n| {arguments.users[0]:,} | {few / 1e6:.0f} |")
    print(f"| {arguments.users[1]:,} | {many / 1e6:.0f} |\n\nratio {many / few:.3f}")


if __name__ == "__main__":
    main()
