"""Planners act in the environment as they plan: replaying a plan is simulating it."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from agents.planners import PLANNERS, planner
from agents.planners.forecast import expected_scenario
from agents.policies import plan_policy
from agents.policies.plan_policy import PlanPolicy
from agents.policies.policy import RandomPolicy, resolve_policy
from dnnmig_env.compiling.threads import results_of
from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s

SHORT = {
    "local-search": "local-search:evaluations=1000",
    "pso-ga+lmu": "pso-ga:swarm=20:iterations=40+lmu",
}
"""Searches that end soon: how good a plan is does not matter to who acts on it."""


def delays_in_environment(policy, env: MigrationVectorEnv, given) -> np.ndarray:
    """Mean delay of each given scenario when the policy decides."""
    observation, _ = env.reset(options={"scenarios": given})
    result, open_rows = np.full(len(given), np.nan), np.ones(len(given), bool)
    while open_rows.any():
        actions, _ = policy.predict(observation)
        observation, _, done, _, infos = env.step(actions)
        ended = open_rows & done
        result[ended] = infos["mean_delay_s"][ended] if ended.any() else 0.0
        open_rows &= ~done
    return result


@pytest.mark.parametrize("decisions", ["joint", "two-phase"])
@pytest.mark.parametrize("name", [SHORT.get(name, name) for name in PLANNERS])
def test_acting_on_a_plan_gives_the_plan_s_own_delay(name, decisions):
    given = scenarios("multi-user", 3, seed=11, num_users=(2, 3), max_layers=8)
    env = MigrationVectorEnv(3, make_generator("multi-user", num_users=(2, 3), max_layers=8), decisions=decisions)
    acted = delays_in_environment(PlanPolicy(planner(name), env, seed=5), env, given)
    plans = [planner(name)(scenario, np.random.default_rng([5, row, 1])) for row, scenario in enumerate(given)]
    arrays = plan_arrays([plan.singletons() for plan in plans])
    assert acted == pytest.approx(mean_delays_s(pack(given), arrays, np.arange(3)), rel=1e-9)


@pytest.mark.parametrize("name", [*(SHORT.get(name, name) for name in PLANNERS), "joint-efficiency@replan"])
def test_rows_that_plan_side_by_side_plan_as_one_after_the_other(name, monkeypatch):
    shared = []

    def recorded(work, rows):
        shared.append(len(rows))
        return results_of(work, rows)

    monkeypatch.setattr(plan_policy, "results_of", recorded)
    monkeypatch.setattr(plan_policy, "num_threads", lambda: 2)
    given = scenarios("edge-cloud", 5, seed=11, num_users=(2, 3), max_layers=8)
    delays = []
    for timed in (True, False):
        env = MigrationVectorEnv(5, make_generator("edge-cloud", num_users=(2, 3), max_layers=8))
        delays.append(delays_in_environment(resolve_policy(name, env, seed=5, timed=timed), env, given).tolist())
        assert bool(shared) != timed
    assert delays[0] == delays[1]
    assert shared[0] == 5 and (len(shared) > 10) == name.endswith("@replan")


@pytest.mark.parametrize("family", ["edge-cloud", "mobile"])
def test_a_policy_that_plans_anew_does_so_once_in_each_moment_in_which_something_may_begin(family):
    planned, times, rng = [], [], np.random.default_rng(0)

    def counted(scenario, rng):
        planned.append(scenario)
        return planner("joint-efficiency")(scenario, rng)

    env = MigrationVectorEnv(1, make_generator(family), autoreset_mode="Disabled")
    policy, ended = PlanPolicy(counted, env, seed=5, view="replan"), np.zeros(1, bool)
    observation, _ = env.reset(seed=3)
    while not ended[0]:
        nothing = np.zeros_like(observation["action_mask"])
        nothing[:, -1] = 1
        before = len(planned)
        actions, _ = policy.predict(observation)
        times.append((env.time_s(), len(planned) - before))
        if rng.random() < 0.5:
            assert policy.predict({**observation, "action_mask": nothing})[0] == env.stop_action
            assert len(planned) == before + times[-1][1]
        observation, _, ended, _, _ = env.step(actions)
    again = [now[1] for last, now in itertools.pairwise(times) if now[0] == last[0]]
    assert len(planned) > 3 and not any(again) and (len(again) > 0) == (family == "mobile")


def test_a_plan_is_made_at_the_beginning_of_each_episode_even_if_nothing_may_be_uploaded_then():
    given = scenarios("multi-user", 2, seed=11, num_users=(2, 3), max_layers=8)
    env = MigrationVectorEnv(1, make_generator("multi-user", num_users=(2, 3), max_layers=8))
    policy = PlanPolicy(planner("joint-efficiency"), env, seed=5)
    for scenario in given:
        observation, _ = env.reset(options={"scenarios": [scenario]})
        nothing = np.zeros_like(observation["action_mask"])
        nothing[:, -1] = 1
        assert policy.predict({**observation, "action_mask": nothing})[0] == env.stop_action
        first = planner("joint-efficiency")(scenario, np.random.default_rng(0)).uploads[0]
        assert policy.predict(observation)[0] == env.encode(first.user, first.layers[0], first.server)


def test_replanning_changes_nothing_where_nothing_changes_and_helps_where_users_move():
    ratios = {}
    for family, options in (("single", {}), ("mobile", {"num_users": (2, 3), "max_layers": 8})):
        given = scenarios(family, 5, seed=4, **options)
        env = MigrationVectorEnv(len(given), make_generator(family, **options))
        once = delays_in_environment(resolve_policy("joint-efficiency", env, 0), env, given)
        anew = delays_in_environment(resolve_policy("joint-efficiency@replan", env, 0), env, given)
        ratios[family] = anew.mean() / once.mean()
    assert ratios["single"] == pytest.approx(1.0, abs=0.02)
    assert ratios["mobile"] < 1.0


def test_a_forecast_is_planned_from_at_every_decision():
    given = scenarios("mobile", 4, seed=2, moves=False)
    env = MigrationVectorEnv(len(given), make_generator("mobile", moves=False))
    asked = []

    def noted(scenario, rng):
        asked.append(scenario)
        return planner("joint-efficiency")(scenario, rng)

    observation, _ = env.reset(options={"scenarios": given})
    known = [env.known_scenario(row) for row in range(len(given))]
    policy = PlanPolicy(noted, env, 0, view="forecast")
    policy.predict(observation)
    policy.predict(observation)
    assert len(asked) == 2 * len(given)
    for row, scenario in enumerate(known):
        told = np.asarray(expected_scenario(scenario).links.up_bytes_per_s)
        np.testing.assert_array_equal(asked[row].links.up_bytes_per_s, told)
        assert not np.array_equal(scenario.links.up_bytes_per_s, told)


def test_a_forecast_changes_nothing_where_nobody_moves_and_helps_where_users_do():
    ratios = {}
    moving = {"speed_m_per_s": 15.0, "num_users": 2, "max_layers": 8, "moves": False}
    for family, options in (("single", {}), ("mobile", moving)):
        given = scenarios(family, 16, seed=4, **options)
        env = MigrationVectorEnv(len(given), make_generator(family, **options))
        present, expected = (
            delays_in_environment(resolve_policy(f"joint-efficiency{suffix}", env, 0), env, given)
            for suffix in ("@replan", "@forecast")
        )
        ratios[family] = expected.mean() / present.mean()
    assert ratios["single"] == 1.0
    assert ratios["mobile"] < 0.99


@pytest.mark.parametrize("view", ["clairvoyant", "forecast", "replan"])
def test_where_weights_stay_in_cells_only_a_bound_that_sends_ahead_is_refused(view):
    (moving,) = scenarios("mobile", 1, seed=2, num_users=2, max_layers=4)
    env = MigrationEnv(scenario=replace(moving, moves=False))
    observation, _ = env.reset()
    policy = PlanPolicy(planner("joint-efficiency"), env, 0, view=view)
    if view == "clairvoyant":
        with pytest.raises(ValueError, match=r"@clairvoyant sends layers ahead, but .* write @replan or @forecast"):
            policy.predict(observation)
    else:
        assert observation["action_mask"][policy.predict(observation)[0]]


def test_a_plan_policy_serves_the_single_environment_too():
    env = MigrationEnv(make_generator("toy"))
    observation, _ = env.reset(seed=0)
    policy, done, total = PlanPolicy(planner("joint-efficiency"), env, seed=0), False, 0.0
    while not done:
        action, _ = policy.predict(observation)
        observation, reward, done, _, info = env.step(action)
        total += reward
    assert total == pytest.approx(-info["mean_delay_s"])
    assert info["mean_delay_s"] < 0.65 * info["device_only_delay_s"]


def test_planning_seconds_are_counted_per_row():
    env = MigrationVectorEnv(2, make_generator("toy"))
    policy = resolve_policy("joint-efficiency", env, 0)
    observation, _ = env.reset(seed=0)
    policy.predict(observation)
    assert (policy.planning_s > 0).all()


def test_errors_name_the_policy():
    env = MigrationVectorEnv(1, make_generator("toy"), decisions="two-phase")
    with pytest.raises(ValueError, match="unknown planner 'joint-eficiency'; did you mean 'joint-efficiency'"):
        resolve_policy("joint-eficiency", env, 0)
    for suffix in ("@replan", "@forecast"):
        with pytest.raises(ValueError, match=f"{suffix} needs decisions"):
            resolve_policy(f"joint-efficiency{suffix}", env, 0)


def test_a_clairvoyant_plan_is_followed_to_the_letter():
    options = {"num_users": (2, 3), "max_layers": 6, "moves": False}
    given = scenarios("mobile", 4, seed=3, **options)
    env = MigrationVectorEnv(len(given), make_generator("mobile", **options))
    acted = delays_in_environment(resolve_policy("local-search:evaluations=400@clairvoyant", env, 5), env, given)
    planning = planner("local-search:evaluations=400:clairvoyant=true")
    plans = [planning(scenario, np.random.default_rng([5, row, 1])) for row, scenario in enumerate(given)]
    assert any(upload.not_before_s > 0 for plan in plans for upload in plan.uploads)
    assert acted == pytest.approx(mean_delays_s(pack(given), plan_arrays(plans), np.arange(len(given))), rel=1e-9)
    present = delays_in_environment(resolve_policy("joint-efficiency@replan", env, 5), env, given)
    assert acted.mean() < present.mean()


def test_only_planners_that_can_use_the_future_are_clairvoyant():
    env = MigrationVectorEnv(1, make_generator("toy"))
    with pytest.raises(ValueError, match="'joint-efficiency' cannot know the slots to come"):
        resolve_policy("joint-efficiency@clairvoyant", env, 0)


def test_an_upload_that_is_to_wait_waits():
    (scenario,) = scenarios("mobile", 1, seed=2, num_users=2, max_layers=6, moves=False)
    env = MigrationVectorEnv(1, make_generator("mobile", num_users=2, max_layers=6, moves=False))
    observation, _ = env.reset(options={"scenarios": [scenario]})
    first = planner("joint-efficiency")(scenario, np.random.default_rng(0)).uploads[0]
    starts_s = scenario.slot_starts_s
    for slot, view in ((0, "clairvoyant"), (2, "clairvoyant"), (2, "start")):
        later = Plan((replace(first, layers=first.layers[:1], not_before_s=starts_s[slot]),))
        action = PlanPolicy(lambda known, rng, later=later: later, env, 0, view=view).predict(observation)[0][0]
        assert (action == env.stop_action) == (slot > 0)


def test_planning_seconds_begin_anew_with_every_episode():
    env = MigrationVectorEnv(2, make_generator("toy"))
    policy = resolve_policy("joint-efficiency", env, 0)
    policy.predict(env.reset(seed=0)[0])
    policy.planning_s[:] = 1e9
    policy.predict(env.reset(seed=1)[0])
    assert (policy.planning_s < 1e9).all()


def test_random_decisions_differ_from_row_to_row():
    actions, _ = RandomPolicy(0).predict({"action_mask": np.ones((64, 50), np.int8)})
    assert len(set(actions.tolist())) > 20


def test_random_decisions_of_a_row_do_not_depend_on_how_many_rows_there_are():
    many, few, later = RandomPolicy(3), RandomPolicy(3), RandomPolicy(3, first=2)
    for _ in range(2):
        masks = np.ones((6, 50), np.int8)
        decided = many.predict({"action_mask": masks})[0].tolist()
        assert few.predict({"action_mask": masks[:4]})[0].tolist() == decided[:4]
        assert later.predict({"action_mask": masks[2:]})[0].tolist() == decided[2:]
    first = RandomPolicy(3).predict({"action_mask": masks})[0]
    assert RandomPolicy(3).predict({"action_mask": masks[0]})[0] == first[0]
    assert RandomPolicy(4).predict({"action_mask": masks})[0].tolist() != first.tolist()
