"""Compiles the kernels before the tests start: `python -m tests.compile_kernels`.

Every test is allowed some time, and compiling would use it up, more so on a busy machine. So all that is compiled is
called here once, on the smallest scenarios, a process for each part. What an earlier call has compiled is only loaded,
which takes seconds.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

SMALL = {"max_layers": 3}


def environments() -> None:
    """Plain observations, both ways of deciding, one row and many."""
    import gymnasium

    import dnnmig_env  # noqa: F401  registers the environments

    for decisions in ("joint", "two-phase"):
        env = gymnasium.make_vec("dnnmig/Mobile-v0", num_envs=2, decisions=decisions, reward="shaped", **SMALL)
        _play(env, 3)
    env = gymnasium.make("dnnmig/EdgeCloud-v0", **SMALL)
    _, info = env.reset(seed=0)
    env.step(int(np.flatnonzero(info["action_mask"])[0]))


def candidates() -> None:
    """Candidates, rewards against a reference plan, and what learning from hindsight asks."""
    import gymnasium

    import dnnmig_env  # noqa: F401  registers the environments

    for family in ("EdgeCloud", "Mobile"):
        env = gymnasium.make_vec(
            f"dnnmig/{family}-v0", num_envs=2, observation="candidates", reward="reference", **SMALL
        )
        _play(env, 3)
    episodes = env.episodes  # type: ignore[attr-defined]
    plans = type(episodes.uploads)._make(array.copy() for array in episodes.uploads)
    env.reset(seed=1)
    episodes.observer.hindsight_costs(np.arange(2), plans, 4)
    episodes.observer.take_plans(plans, np.array([1, 2]), 3)


def planners() -> None:
    """Every planner, and every placement with every order."""
    from agents.planners import ORDER_PLANNERS, PLACEMENT_PLANNERS, PLANNERS, planner
    from dnnmig_env.families.registry import scenarios
    from dnnmig_env.simulation.simulator import simulate

    (scenario,) = scenarios("edge-cloud", 1, seed=1, num_users=2, **SMALL)
    quick = {
        "genetic": "genetic:population=4:generations=2",
        "pso": "pso:swarm=4:iterations=2",
        "pso-ga": "pso-ga:swarm=4:iterations=2",
    }
    first = next(iter(ORDER_PLANNERS))
    names = [*PLANNERS, "exact", *(f"{quick.get(name, name)}+{first}" for name in PLACEMENT_PLANNERS)]
    names += [f"best-server+{name}" for name in ORDER_PLANNERS]
    for name in names:
        if name not in ("local-search", "pso-ga+lmu"):
            timeline = simulate(scenario, planner(name)(scenario, np.random.default_rng(0)))
            timeline.figures()
            timeline.query(0, 0.0)


def searches() -> None:
    """Local search, plans by the batch and by forecast."""
    from agents.planners import planner
    from agents.policies.policy import resolve_policy
    from dnnmig_env.envs.vector_env import MigrationVectorEnv
    from dnnmig_env.families.registry import make_generator, scenarios

    (scenario,) = scenarios("edge-cloud", 1, seed=1, num_users=2, **SMALL)
    planner("local-search:evaluations=200")(scenario, np.random.default_rng(0))
    env = MigrationVectorEnv(1, make_generator("mobile", **SMALL))
    for name in ("joint-efficiency@forecast", "exact:first_slot=true", "local-search:evaluations=200@clairvoyant"):
        observations, _ = env.reset(seed=0)
        try:
            resolve_policy(name, env, 0).predict(observations)
        except ValueError:  # a scenario too large for exact search has been compiled for, too
            continue


PARTS: dict[str, Callable[[], None]] = {
    "candidates": candidates,
    "planners": planners,
    "environments": environments,
    "searches": searches,
}


def _play(env: object, steps: int) -> None:
    observations, _ = env.reset(seed=0)  # type: ignore[attr-defined]
    for _ in range(steps):
        observations, *_ = env.step(observations["action_mask"].argmax(axis=1))  # type: ignore[attr-defined]


def main() -> int:
    """Compile the part that is named, or all of them side by side, two at a time."""
    if sys.argv[1:]:
        PARTS[sys.argv[1]]()
        return 0
    begin_s = time.perf_counter()
    waiting, running, failed = list(PARTS), {}, []
    while waiting or running:
        while waiting and len(running) < 2:
            part = waiting.pop(0)
            running[part] = subprocess.Popen([sys.executable, "-m", "tests.compile_kernels", part])
        for part, process in list(running.items()):
            if process.poll() is not None:
                failed += [part] if process.returncode else []
                del running[part]
        time.sleep(0.1)
    print(f"kernels compiled, or found compiled, in {time.perf_counter() - begin_s:.0f} s")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
