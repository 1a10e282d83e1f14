"""The decorators: what compiled code does where Python and NumPy differ, and how idle threads wait."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest

from dnnmig_env.compiling.jit import jit, jit_without_refcounts


@jit
def _by(one: float, other: float) -> float:
    return one / other


@jit_without_refcounts
def _by_without_refcounts(one: float, other: float) -> float:
    return one / other


@pytest.mark.parametrize("divide", [_by, _by_without_refcounts])
def test_division_by_zero_gives_infinity_or_nan(divide) -> None:
    assert divide(1.0, 0.0) == math.inf
    assert divide(-1.0, 0.0) == -math.inf
    assert math.isnan(divide(0.0, 0.0))


@pytest.mark.parametrize(("given", "policy"), [({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")])
def test_idle_threads_sleep_unless_the_user_says_otherwise(given: dict[str, str], policy: str) -> None:
    code = "import os, dnnmig_env.compiling.jit; print(os.environ['OMP_WAIT_POLICY'])"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | given
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == policy
