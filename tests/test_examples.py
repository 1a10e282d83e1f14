"""The scripts in examples/ run, from the repository's root, and print what they say they do."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, f"examples/{script}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=True)
    return done.stdout


def test_no_plan_is_below_the_bound() -> None:
    first, *rows = run("how_far.py").splitlines()
    least_s = float(re.fullmatch(r"no plan is below (\S+) s per query", first).group(1))  # type: ignore[union-attr]
    delays_s = {row.split()[0]: float(row.split()[1]) for row in rows}
    assert min(delays_s.values()) >= least_s
    assert delays_s["device-only"] == max(delays_s.values())
    assert delays_s["joint-efficiency"] < 1.01 * least_s


def test_a_plan_is_drawn(tmp_path: Path) -> None:
    run("draw_plan.py", str(tmp_path / "plan.png"))
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
