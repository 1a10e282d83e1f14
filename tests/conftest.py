"""Settings of every test process: one thread each, no window for plots, the same examples on every CI run."""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Numerical libraries read these when they are first imported, which is after this file. One thread each: the tests
# already use all cores, and torch's results differ between thread counts.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ["MPLBACKEND"] = "Agg"
# Stable-Baselines3 makes a folder for each training, logs or not; tests share one in place of leaving hundreds behind.
os.environ.setdefault("SB3_LOGDIR", str(Path(tempfile.gettempdir()) / "SB3-of-tests"))

# No deadline: an example that compiles a function takes seconds. A slow machine is no defect of the code.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("local"), derandomize=True)
settings.load_profile("repeatable" if "CI" in os.environ else "local")

# A process that nohup or a shell starts in the background ignores these; commands and processes under test would, too.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


def pytest_collection_finish() -> None:
    """Look for garbage less often, and never among what has been imported: both take a twentieth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


@pytest.fixture
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands and trainings write empty pictures: to draw takes most of the time of the smallest of them.

    It is for files that look at other things. Every picture has tests that draw it and look at it.
    """
    import numpy as np
    from matplotlib.figure import Figure

    monkeypatch.setattr(Figure, "savefig", lambda figure, file, **options: file.write(b"\x89PNG"))
    if "train.charts" in sys.modules:  # else its imports would take longer than the pictures
        monkeypatch.setattr("train.charts.gantt", lambda timeline: np.zeros((1, 1, 3), np.uint8))
