"""What an installed package holds: the problem alone, as the other names are those of other distributions, too."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_wheel_holds_the_problem_alone_and_the_source_distribution_everything() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert setuptools["packages"]["find"]["include"] == ["dnnmig_env", "dnnmig_env.*"]
    assert set(setuptools["package-data"]) == {"dnnmig_env"}
    assert setuptools["package-dir"] == {"": "."}  # an editable installation then has the whole checkout on its path
    grafted = {line.split()[1] for line in (ROOT / "MANIFEST.in").read_text().splitlines() if line.startswith("graft")}
    assert {"agents", "benchmarks", "train", "evaluate", "docs", "examples", "tests"} <= grafted
