"""References: rewards measured against one add up to what an episode saves, whatever is done on the way."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from agents.planners.joint_efficiency.joint_efficiency import joint_efficiency
from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan, plan_of
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s
from tests.candidate_play import ONE_CHANNEL, one_channel
from tests.strategies import RandomChoices, Sizes, make_scenario

STATIC = ["single", "edge-cloud", "multi-user", "toy"]

Steps = list[tuple[int, int, int]]


def delay_s(scenario: Scenario, plan: Plan) -> float:
    return float(mean_delays_s(pack([scenario]), plan_arrays([plan]))[0])


def reference_delay_s(env: MigrationEnv) -> float:
    """Return J if the reference is completed from where the environment's episode stands."""
    episodes = env.episodes
    return float(episodes._rewarder.reference.cost_s[0] / episodes.state.expected_queries[0])


def reference_steps(env: MigrationEnv) -> Steps:
    """Return the uploads of the reference plan as (user, layer, server)."""
    reference = env.episodes._rewarder.reference
    return [
        (int(reference.plans.user[0, k]), int(reference.plans.layer[0, k]), int(reference.plans.server[0, k]))
        for k in range(reference.plans.length[0])
    ]


def steps_of(plan: Plan) -> Steps:
    return [(upload.user, layer, upload.server) for upload in plan.uploads for layer in upload.layers]


def completed(scenario: Scenario, first: Steps, then: Steps) -> Plan:
    """Return the plan of some uploads and then what is left of others and fits the memory."""
    left = [server.memory_bytes for server in scenario.servers]
    steps: Steps = []
    for u, v, server in [*first, *then]:
        weight = scenario.users[u].graph.weight_bytes[v]
        if (u, v) not in {(user, layer) for user, layer, _ in steps} and weight <= left[server - 1]:
            steps.append((u, v, server))
            left[server - 1] -= weight
    return plan_of(steps)


def next_upload(env: MigrationEnv) -> int:
    """Return the action of the reference's next upload; "stop" where none can be made."""
    k = int(env.episodes._rewarder.reference.next_upload[0])
    return env.stop_action if k < 0 else env.encode(*reference_steps(env)[k])


def random_legal(env: MigrationEnv, rng: np.random.Generator, stop_share: float = 0.05) -> int:
    legal = np.flatnonzero(env.action_masks())
    if len(legal) > 1 and rng.random() > stop_share:
        legal = legal[:-1]
    return int(rng.choice(legal))


def play(env: MigrationEnv, rng: np.random.Generator) -> tuple[float, float]:
    """Play random legal actions to the end; return the return and J."""
    total, done, info = 0.0, False, {}
    while not done:
        _, reward, done, _, info = env.step(np.int64(random_legal(env, rng)))
        total += reward
    return total, info["mean_delay_s"]


@pytest.mark.parametrize("family", ONE_CHANNEL)
def test_the_return_is_what_the_episode_saves_against_the_reference(family: str) -> None:
    env, rng = MigrationEnv(make_generator(family, **one_channel(family)), reward="reference"), np.random.default_rng(1)
    returns = []
    for seed in range(15):
        env.reset(seed=seed)
        before_s = reference_delay_s(env)
        total, after_s = play(env, rng)
        assert total == pytest.approx(before_s - after_s, rel=1e-9, abs=1e-9 * before_s)
        returns.append(total)
    assert min(returns) < -1e-4


@pytest.mark.parametrize("family", STATIC)
def test_the_cost_of_a_reference_is_what_simulating_its_plan_says(family: str) -> None:
    env, lengths = MigrationEnv(make_generator(family, **one_channel(family)), reward="reference"), []
    for seed in range(20):
        env.reset(seed=seed)
        steps = reference_steps(env)
        assert reference_delay_s(env) == pytest.approx(delay_s(env.scenario(), plan_of(steps)), rel=1e-9)
        lengths.append(len(steps))
    assert max(lengths) >= 2


@pytest.mark.parametrize("family", ONE_CHANNEL)
def test_following_the_reference_earns_nothing_at_any_step(family: str) -> None:
    env = MigrationEnv(make_generator(family, **one_channel(family)), reward="reference")
    for seed in range(12):
        env.reset(seed=seed)
        before_s, rewards, done = reference_delay_s(env), [], False
        while not done:
            action = next_upload(env)
            assert env.action_masks()[action]
            _, reward, done, _, info = env.step(np.int64(action))
            rewards.append(reward)
        assert rewards[:-1] == [0.0] * (len(rewards) - 1)
        assert rewards[-1] == pytest.approx(0.0, abs=1e-12 * before_s)  # the last one is the end's rounding alone
        assert info["mean_delay_s"] == pytest.approx(before_s, rel=1e-12)


@pytest.mark.parametrize("family", STATIC)
def test_rewards_so_far_depend_only_on_what_was_uploaded_in_which_order(family: str) -> None:
    """The sum is J of the reference less J of the uploads made and then the rest of the reference: a potential."""
    env, rng = MigrationEnv(make_generator(family, **one_channel(family)), reward="reference"), np.random.default_rng(2)
    compared = 0
    for seed in range(8):
        env.reset(seed=seed)
        scenario, reference, total, done = env.scenario(), reference_steps(env), 0.0, False
        start_s = delay_s(scenario, plan_of(reference))
        while not done:
            # Now and then as planned, so that the two ways of accounting alternate.
            action = next_upload(env) if rng.random() < 0.5 else random_legal(env, rng, stop_share=0.0)
            stopped = action == env.stop_action
            _, reward, done, _, _ = env.step(np.int64(action))
            total += reward
            plan = plan_of(steps_of(env.plan()))
            if not stopped:
                plan = completed(scenario, steps_of(plan), reference)
            saved_s = start_s - delay_s(scenario, plan)
            assert total == pytest.approx(saved_s, rel=1e-9, abs=1e-9 * start_s)
            compared += not done
    assert compared > 8


def test_the_rewards_of_the_toy_are_those_worked_out_from_its_plans() -> None:
    env = MigrationEnv(make_generator("toy"), reward="reference")
    env.reset()
    scenario, reference = env.scenario(), reference_steps(env)
    swapped = [reference[1], reference[0]]
    first = env.step(np.int64(env.encode(*swapped[0])))[1]
    second = env.step(np.int64(env.encode(*swapped[1])))[1]
    planned_s = delay_s(scenario, plan_of(reference))
    swapped_s = delay_s(scenario, completed(scenario, swapped, reference))
    # All that the exchange costs is charged when it is decided; then the plan goes on.
    assert first == pytest.approx(planned_s - swapped_s, rel=1e-9)
    assert first != 0.0
    assert second == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("family", ["edge-cloud", "mobile"])
def test_an_illegal_action_is_charged_against_the_reference_too(family: str) -> None:
    env = MigrationEnv(make_generator(family, **one_channel(family), max_layers=4), reward="reference")
    env.reset(seed=5)
    planned_s = reference_delay_s(env)
    _, reward, done, _, info = env.step(np.flatnonzero(~env.action_masks())[0])
    assert done
    assert info["illegal_action"]
    assert reward == pytest.approx(planned_s - info["mean_delay_s"], rel=1e-9)
    assert info["mean_delay_s"] == pytest.approx(info["device_only_delay_s"])


@pytest.mark.parametrize("family", ["multi-user", "mobile"])
def test_device_only_units_divide_every_reward_by_the_device_only_delay(family: str) -> None:
    one = MigrationEnv(make_generator(family, **one_channel(family)), reward="reference")
    other = MigrationEnv(make_generator(family, **one_channel(family)), reward="reference", scale="device-only")
    rng, rewards = np.random.default_rng(3), []
    for seed in range(5):
        one.reset(seed=seed)
        other.reset(seed=seed)
        device_only_s, done = float(one.episodes.outputs.device_only_s[0]), False
        while not done:
            action = np.int64(random_legal(one, rng))
            _, reward, done, _, info = one.step(action)
            assert other.step(action)[1] == pytest.approx(reward / device_only_s, rel=1e-12, abs=0.0)
            rewards.append(reward)
        assert info["device_only_delay_s"] == device_only_s
    assert np.count_nonzero(rewards) > 20


@pytest.mark.parametrize("family", STATIC)
def test_in_one_slot_the_reference_is_the_plan_of_joint_efficiency(family: str) -> None:
    env, rng = MigrationEnv(make_generator(family, **one_channel(family)), reward="reference"), np.random.default_rng(0)
    for seed in range(12):
        env.reset(seed=seed)
        planned_s = delay_s(env.scenario(), joint_efficiency(env.scenario(), rng).singletons())
        # Efficiencies are measured anew at another change of contention, so a choice may differ, but hardly matters.
        assert reference_delay_s(env) == pytest.approx(planned_s, rel=5e-3)


def test_references_hold_with_outages_absences_and_layers_uploaded_before() -> None:
    """The return law and the 0 for following where links fail, users come and go, and layers are there already."""
    env = MigrationEnv(make_generator("mobile", moves=False), reward="reference")
    longest = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scenario = make_scenario(RandomChoices(rng), Sizes(slots=4))
        env.reset(options={"scenario": scenario})
        before_s = reference_delay_s(env)
        longest = max(longest, len(reference_steps(env)))
        total, after_s = play(env, rng)
        assert total == pytest.approx(before_s - after_s, rel=1e-9, abs=1e-9 * before_s)
        env.reset(options={"scenario": scenario})
        done = False
        while not done:
            _, reward, done, _, info = env.step(np.int64(next_upload(env)))
            assert reward == pytest.approx(0.0, abs=1e-12 * before_s)
        assert info["mean_delay_s"] == pytest.approx(before_s, rel=1e-12)
    assert longest > 5


@pytest.mark.parametrize("family", ["multi-user", "mobile"])
def test_rewards_of_a_batch_are_those_of_single_environments(family: str) -> None:
    """Rows are planned and followed side by side: none may write into another's scratch."""
    generator = make_generator(family, **one_channel(family), num_users=(2, 3), max_layers=6)
    batch = MigrationVectorEnv(40, generator, reward="reference")
    single = MigrationEnv(generator, reward="reference")
    rng, actions, rewards = np.random.default_rng(0), [], []
    observations, _ = batch.reset(seed=70)
    ended: Any = np.zeros(40, np.bool_)
    first = np.full(40, 12)
    for k in range(12):
        scores = rng.random(observations["action_mask"].shape) * observations["action_mask"]
        actions.append(scores.argmax(axis=1))
        observations, reward, terminated, _, _ = batch.step(actions[-1])
        rewards.append(reward)
        first[terminated & ~ended] = k + 1
        ended |= terminated
    for row in (0, 17, 39):
        single.reset(seed=70 + row)
        for k in range(first[row]):
            assert single.step(actions[k][row])[1] == rewards[k][row]


@pytest.mark.parametrize("kind", [MigrationEnv, MigrationVectorEnv])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reward": "reference"}, "references are uploads, but decisions is 'two-phase'"),
        ({"observation": "candidates"}, "candidates are uploads, but decisions is 'two-phase'"),
    ],
)
def test_references_and_candidates_need_joint_decisions(kind: Any, options: Any, message: str) -> None:
    sizes = (2,) if kind is MigrationVectorEnv else ()
    with pytest.raises(ValueError, match=re.escape(message)):
        kind(*sizes, make_generator("toy"), decisions="two-phase", **options)


def test_the_same_scenario_has_the_same_reference_in_every_row_and_episode() -> None:
    (scenario,) = scenarios("multi-user", 1, seed=5)
    env = MigrationVectorEnv(3, make_generator("multi-user"), reward="reference")
    env.reset(seed=0)  # other scenarios first: nothing of theirs may be left
    env.reset(options={"scenarios": [scenario] * 3})
    reference = env.episodes._rewarder.reference
    assert reference.plans.length[0] > 0
    for row in (1, 2):
        assert reference.plans.length[row] == reference.plans.length[0]
        assert reference.cost_s[row] == reference.cost_s[0]
        for name in ("user", "layer", "server"):
            array = getattr(reference.plans, name)[:, : reference.plans.length[0]]
            np.testing.assert_array_equal(array[row], array[0])
