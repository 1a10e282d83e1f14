"""Which files of this project a module imports when it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnnmig_env.compiling.imports import SOURCES, imported_files, imports_in

SIMULATION = SOURCES / "dnnmig_env/simulation"


def files(source: str, place: Path) -> list[str]:
    """Return the names of the files that a module imports which has this source and lies in this place."""
    found = dict.fromkeys(imported_files(place, imports_in(source.encode())))
    return [str(path.relative_to(SOURCES)) for path in found]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from agents.policies import sampling", ["agents/policies/__init__.py", "agents/policies/sampling.py"]),
        ("import train.__main__", ["train/__init__.py", "train/__main__.py"]),
        ("import train", ["train/__init__.py"]),
        (
            "import agents.planners.registry",
            ["agents/__init__.py", "agents/planners/__init__.py", "agents/planners/registry.py"],
        ),
        ("from evaluate.__main__ import main", ["evaluate/__main__.py"]),
        ("from . import play", ["dnnmig_env/simulation/__init__.py", "dnnmig_env/simulation/play.py"]),
        ("from .play import *", ["dnnmig_env/simulation/play.py"]),
        ("from ..arrays import Floats", ["dnnmig_env/arrays.py"]),
        (
            "if True:\n    from .play import a\nelse:\n    import train",
            ["dnnmig_env/simulation/play.py", "train/__init__.py"],
        ),
        ("class Late:\n    from .play import a", ["dnnmig_env/simulation/play.py"]),
        ("def later():\n    from .play import a\nasync def far():\n    import train", []),
        ("import numpy, math\nfrom numba import njit\nfrom trains import x\n# import train", []),
    ],
)
def test_the_files_of_each_kind_of_import(source: str, expected: list[str]) -> None:
    assert files(source, SIMULATION / "kernel.py") == expected


def test_dots_that_lead_out_of_the_project_lead_nowhere(tmp_path: Path) -> None:
    assert files("from .play import a", tmp_path / "source.py") == []
