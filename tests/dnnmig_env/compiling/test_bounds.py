"""Compiled code stays within its arrays; where it does not, it reads and writes what lies beside them, unnoticed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]

SIMULATION, ENVS = "tests/dnnmig_env/simulation", "tests/dnnmig_env/envs/test_env.py"
TESTS = (
    f"{SIMULATION}/test_kernel.py::test_agrees_with_the_reference[0]",
    f"{SIMULATION}/test_kernel.py::test_a_batch_equals_its_rows_bit_for_bit",
    f"{ENVS}::test_the_return_is_minus_the_mean_delay_of_the_simulated_plan[multi-user-joint]",
    f"{ENVS}::test_the_return_is_minus_the_mean_delay_of_the_simulated_plan[mobile-two-phase]",
    "tests/agents/planners/joint_efficiency/test_joint_efficiency.py",
)
"""Tests that, between them, run the kernels of the simulation, of the environments and of joint efficiency."""

DECORATORS = ("jit", "jit_without_refcounts", "jit_nogil")

BEYOND = """
import numpy as np
from dnnmig_env.compiling import jit

@jit.jit_inlined
def put(array, index):
    array[index] = 1.0

{functions}
for beyond in ({names},):
    try:
        beyond(np.zeros(8)[:4], 5)
    except IndexError:
        print("refused")
"""

FUNCTION = """
@jit.{decorator}
def beyond_{decorator}(array, index):
    put(array, index)
"""
"""A function of its own for each decorator, as the cache tells functions apart by their names."""


def checked(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with bounds checked, and machine code kept in a cache of its own.

    The cache does not tell code with checks from code without them, so a used one would give the latter.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(cache), "CI": "true", "PYTHONPATH": str(PROJECT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=1500
    )


@pytest.mark.slow
def test_the_check_sees_what_goes_beyond_an_array_under_every_decorator(tmp_path: Path) -> None:
    functions = "".join(FUNCTION.format(decorator=decorator) for decorator in DECORATORS)
    names = ", ".join(f"beyond_{decorator}" for decorator in DECORATORS)
    source = tmp_path / "beyond.py"
    source.write_text(BEYOND.format(functions=functions, names=names))
    done = checked(tmp_path, str(source))
    assert done.stdout.split() == ["refused"] * len(DECORATORS), done.stderr


@pytest.mark.slow
def test_kernels_stay_within_their_arrays(tmp_path: Path) -> None:
    done = checked(tmp_path, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *TESTS)
    assert done.returncode == 0, done.stdout + done.stderr
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) >= len(TESTS)
