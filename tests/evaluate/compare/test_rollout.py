from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agents.planners import planner
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.simulator import simulate
from evaluate.compare.rollout import ROWS, Arena
from tests.agents.planners.hand_made import chain


@pytest.mark.parametrize("family", ["single", "edge-cloud", "multi-user"])
@pytest.mark.parametrize("name", ["front-to-back", "joint-efficiency"])
def test_a_planners_delay_is_that_of_its_simulated_plan(family: str, name: str) -> None:
    # more scenarios than rows, so that rows are used again
    drawn = scenarios(family, ROWS + 3, seed=4)
    arena = Arena(make_generator(family).limits, drawn, family)
    rollout = arena.roll_out(*arena.policy(name, seed=0))
    plans = [planner(name)(scenario, np.random.default_rng(0)) for scenario in drawn]
    timelines = [simulate(scenario, plan.singletons()) for scenario, plan in zip(drawn, plans, strict=True)]
    np.testing.assert_allclose(rollout.mean_delay_s, [timeline.mean_delay_s for timeline in timelines], rtol=1e-9)
    np.testing.assert_allclose(
        rollout.device_only_s, [timeline.mean_device_delay_s for timeline in timelines], rtol=1e-9
    )
    arrived = [timeline.upload_s < timeline.scenario.horizon_s for timeline in timelines]  # all that was planned
    cold_s = np.array([timeline.cold_start_delay_s.mean() for timeline in timelines])
    np.testing.assert_allclose(rollout.cold_start_s[arrived], cold_s[arrived], rtol=1e-9)
    assert any(arrived)
    assert not rollout.illegal.any()


def test_both_decision_modes_give_the_same_delay_to_a_plan() -> None:
    drawn = scenarios("edge-cloud", 6, seed=2)
    found = []
    for decisions in ("joint", "two-phase"):
        arena = Arena(make_generator("edge-cloud").limits, drawn, "edge-cloud", decisions)
        found.append(arena.roll_out(*arena.policy("front-to-back", seed=0)))
    np.testing.assert_allclose(found[0].mean_delay_s, found[1].mean_delay_s, rtol=1e-9)
    assert (found[1].decisions > found[0].decisions).all()


def test_device_only_never_uploads() -> None:
    for moves in (False, True):
        drawn = scenarios("mobile", 5, seed=1, moves=moves)
        arena = Arena(make_generator("mobile", moves=moves).limits, drawn, "mobile")
        rollout = arena.roll_out(*arena.policy("device-only", seed=0))
        np.testing.assert_allclose(rollout.mean_delay_s, rollout.device_only_s, rtol=1e-9)
        assert not rollout.radio_bytes.any() and not rollout.wire_bytes.any()
        np.testing.assert_array_equal(rollout.on_device_share, 1.0)
        if moves:  # a cold start is defined for one channel
            assert np.isnan(rollout.cold_start_s).all()
            assert rollout.handovers.sum() == rollout.cold_starts.sum() > 0
        else:
            np.testing.assert_allclose(rollout.cold_start_s, rollout.device_only_cold_start_s, rtol=1e-9)


def test_who_acts_illegally_saves_nothing() -> None:
    class Illegal:
        def predict(
            self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
        ) -> Any:
            return np.argmin(observation["action_mask"], axis=1), state

    arena = Arena(make_generator("multi-user").limits, scenarios("multi-user", 3, seed=0), "multi-user")
    _, env = arena.policy("random", seed=0)
    rollout = arena.roll_out(Illegal(), env)
    assert rollout.illegal.all()
    np.testing.assert_allclose(rollout.cold_start_s, rollout.device_only_cold_start_s, rtol=1e-9)


def test_who_uploads_and_then_acts_illegally_saves_nothing_either() -> None:
    class First:
        def predict(
            self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
        ) -> Any:
            return np.zeros(1, np.int64), state

    # The first action uploads layer 0 in 0.1 s, so that a first query would take 1.2 s; to repeat it is illegal.
    scenario = chain([0.1, 0.1], [0, 0])
    arena = Arena(Limits.of([scenario]), [scenario], "single")
    _, env = arena.policy("device-only", seed=0)
    rollout = arena.roll_out(First(), env)
    assert rollout.illegal.tolist() == [True]
    assert (rollout.cold_start_s.tolist(), rollout.decisions.tolist()) == ([2.0], [2])


def test_every_scenario_ends_once_and_is_planned_once() -> None:
    planned: list[Any] = []

    class Counting:
        planning_s = np.zeros(ROWS)

        def predict(
            self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
        ) -> Any:
            planned.extend(np.flatnonzero(episode_start))
            return np.full(env.num_envs, env.stop_action), state

    count, ends = 2 * ROWS + 1, []
    whole = Arena(make_generator("toy").limits, scenarios("toy", count, seed=0), "toy")
    for arena in whole.parts("random"):
        _, env = arena.policy("random", seed=0)
        rollout = arena.roll_out(Counting(), env, lambda record: ends.append(record.scenario))
        assert (rollout.mean_delay_s > 0).all()
    assert sorted(ends) == list(range(count)) and len(planned) == count
    with pytest.raises(ValueError, match="33 scenarios for the 16 rows of the environment; play parts"):
        whole.roll_out(*whole.policy("random", seed=0))


def test_planning_seconds_of_other_policies_are_those_of_predict_and_of_what_they_see(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 5
    arena = Arena(make_generator("toy").limits, scenarios("toy", count, seed=0), "toy")
    policy, env = arena.policy("random", seed=0)
    seconds = 0.0

    def slowly(function: Any, pause_s: float) -> Any:
        def slow(*args: Any, **kwargs: Any) -> Any:
            nonlocal seconds
            seconds += pause_s
            return function(*args, **kwargs)

        return slow

    monkeypatch.setattr("evaluate.compare.rollout.time", SimpleNamespace(perf_counter=lambda: seconds))
    monkeypatch.setattr(policy, "predict", slowly(policy.predict, 0.002))
    monkeypatch.setattr(env, "step", slowly(env.step, 0.004))
    monkeypatch.setattr(env, "reset", slowly(env.reset, 0.03))
    rollout = arena.roll_out(policy, env)
    assert (rollout.planning_s > 0.03 / count).all()
    assert rollout.planning_s.sum() == pytest.approx(seconds)  # scenarios that are decided at once share it


def test_no_scenario_and_scenarios_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Arena(make_generator("toy").limits, [], "toy")
    with pytest.raises(ValueError, match="users"):
        Arena(make_generator("single").limits, scenarios("multi-user", 1, seed=0), "single")


def test_the_plan_of_a_policy_is_what_it_uploads_and_waits_for_nothing_but_the_channel() -> None:
    # With times taken from the model, uploads in the simulation could never be earlier than there.
    limits, drawn = make_generator("toy").limits, scenarios("toy", 1, 1)
    arena, played = Arena(limits, drawn, "toy"), list[tuple[int, ...]]()
    policy, env = arena.policy("joint-efficiency", 1)
    arena.roll_out(policy, env, lambda record: played.append(record.actions))
    (plan,) = arena.plans(played)
    planned = planner("joint-efficiency")(drawn[0], np.random.default_rng(0)).singletons()
    assert [upload.not_before_s for upload in plan.uploads] == [0.0] * len(plan.uploads)
    assert plan.uploads == planned.uploads
    assert simulate(drawn[0], plan).mean_delay_s > 0.0
