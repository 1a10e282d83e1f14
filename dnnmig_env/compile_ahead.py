"""Compiles ahead of time what environments, planners and agents call: `python -m dnnmig_env compile`.

Everything is called once, on the smallest scenarios, in a process for each part. What an earlier call has compiled is
only loaded, which takes seconds.
"""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

SMALL: dict[str, Any] = {"max_layers": 3}
"""Options of generators that draw the smallest scenarios."""

PARTS = {
    "planners": "agents.policies.compile_ahead:planners",
    "environments": "dnnmig_env.compile_ahead:environments",
    "searches": "agents.policies.compile_ahead:searches",
}
"""Module and function that call what each part compiles, the longest first."""


@dataclass(frozen=True)
class Compile:
    """Compile everything for this machine now, which otherwise happens on first use and takes minutes."""

    only: tuple[str, ...] = ()
    """Parts to compile: environments, planners, searches. By default all."""
    processes: int = 2
    """Parts that are compiled at the same time."""

    def run(self) -> None:
        """Compile the parts side by side, and print how long each took."""
        for part in self.only:
            if part not in PARTS:
                raise ValueError(f"--only is {part!r}; choose among {', '.join(PARTS)}.")
        if self.processes < 1:
            raise ValueError(f"--processes is {self.processes}; it must be at least 1.")
        begin_s = time.perf_counter()
        waiting = [part for part in self.only or PARTS if _is_installed(part)]
        running: dict[str, subprocess.Popen[bytes]] = {}
        failed = []
        for part in set(self.only or PARTS) - set(waiting):
            print(f"{part}: left out, as {PARTS[part].partition('.')[0]} is not installed")
        while waiting or running:
            while waiting and len(running) < self.processes:
                part = waiting.pop(0)
                running[part] = subprocess.Popen([sys.executable, "-m", __spec__.name, part])
            for part, process in list(running.items()):
                if process.poll() is not None:
                    failed += [part] if process.returncode else []
                    del running[part]
                    print(f"{part}: {time.perf_counter() - begin_s:.0f} s", flush=True)
            time.sleep(0.1)
        if failed:
            raise ValueError(f"could not compile {', '.join(failed)}; what went wrong stands above.")
        print(f"compiled, or found compiled, in {time.perf_counter() - begin_s:.0f} s")


def environments() -> None:
    """Call plain environments: both ways of deciding, one row and many, ended and repaired illegal actions."""
    import gymnasium

    import dnnmig_env  # noqa: F401  registers the environments

    for decisions in ("joint", "two-phase"):
        for illegal in ("end", "repair"):
            options = {"decisions": decisions, "illegal": illegal, "reward": "shaped", **SMALL}
            play(gymnasium.make_vec("dnnmig/Mobile-v0", num_envs=2, **options))
    env = gymnasium.make("dnnmig/EdgeCloud-v0", render_mode="ansi", **SMALL)
    _, info = env.reset(seed=0)
    env.step(np.flatnonzero(info["action_mask"])[0])
    env.render()


def play(env: Any, steps: int = 3) -> None:
    """Take some legal decisions in every row of a batch."""
    observations, _ = env.reset(seed=0)
    for _ in range(steps):
        observations, *_ = env.step(observations["action_mask"].argmax(axis=1))


def _is_installed(part: str) -> bool:
    return importlib.util.find_spec(PARTS[part].partition(".")[0]) is not None


def _compile_part(part: str) -> None:
    from dnnmig_env.compiling.notice import NOTICE

    NOTICE.said = True  # the user knows
    module, _, function = PARTS[part].partition(":")
    getattr(importlib.import_module(module), function)()


if __name__ == "__main__":
    _compile_part(sys.argv[1])
