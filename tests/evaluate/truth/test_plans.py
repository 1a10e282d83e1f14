from __future__ import annotations

import numpy as np

from agents.planners import planner
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.simulation.simulator import simulate
from evaluate.compare.rollout import Arena
from evaluate.truth.plans import Replay


def test_the_plan_of_a_policy_is_what_it_uploads_and_waits_for_nothing_but_the_channel() -> None:
    # With times taken from the model, uploads in the simulation could never be earlier than there.
    limits, drawn = make_generator("toy").limits, scenarios("toy", 1, 1)
    arena, played = Arena(limits, drawn, "toy"), list[tuple[int, ...]]()
    policy, env = arena.policy("joint-efficiency", 1)
    arena.roll_out(policy, env, lambda record: played.append(record.actions))
    plan = Replay(limits).plan(drawn[0], played[0])
    planned = planner("joint-efficiency")(drawn[0], np.random.default_rng(0)).singletons()
    assert [upload.not_before_s for upload in plan.uploads] == [0.0] * len(plan.uploads)
    assert plan.uploads == planned.uploads
    assert simulate(drawn[0], plan).mean_delay_s > 0.0
