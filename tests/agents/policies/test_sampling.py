"""Plans drawn by a network's scores: never worse than its greedy plan, and the same for the same random stream."""

from dataclasses import replace

import numpy as np
import pytest

from agents.learning.algorithms import TRAINING_REWARD, make_model
from agents.learning.checkpoint import save
from agents.learning.sb3_vec_env import Sb3VecEnv
from agents.policies.policy import resolve_policy
from agents.policies.sampling import _drawn, make_sampler
from agents.policies.trained import MODEL, load
from agents.policy_networks.facts import ILLEGAL
from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.facts.layout import USER_FEATURES
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.simulation.plan import check_plan
from dnnmig_env.simulation.simulator import simulate

SMALL = {"num_users": (2, 3), "max_layers": 8}


def saved_model(folder, algorithm="ppo", decisions="joint", family="multi-user", options=SMALL):
    generator = make_generator(family, **options)
    env = MigrationVectorEnv(2, generator, decisions, autoreset_mode="SameStep", **TRAINING_REWARD)
    settings = {"buffer_size": 100} if algorithm == "dqn" else {}
    model = make_model(algorithm, Sb3VecEnv(env), seed=1, device="cpu", settings=settings, network={"width": 8})
    save(model, folder / MODEL, family, decisions, algorithm)
    return folder / MODEL


@pytest.fixture(scope="module", params=["joint", "two-phase"])
def model(request, tmp_path_factory):
    return load(saved_model(tmp_path_factory.mktemp("run"), decisions=request.param))


@pytest.fixture(scope="module")
def given():
    return scenarios("multi-user", 10, seed=3, **SMALL)


def delays_s(planner, given, seed=0):
    plans = [planner(scenario, np.random.default_rng(seed)) for scenario in given]
    for scenario, plan in zip(given, plans, strict=True):
        check_plan(scenario, plan)
    return np.array([simulate(scenario, plan).mean_delay_s for scenario, plan in zip(given, plans, strict=True)])


def acted_delays_s(policy, decisions, given):
    env = MigrationVectorEnv(1, make_generator("multi-user", **SMALL), decisions)
    found = []
    for scenario in given:
        observation, _ = env.reset(options={"scenarios": [scenario]})
        ended = [False]
        while not ended[0]:
            observation, _, ended, _, infos = env.step(policy.predict(observation)[0])
        found.append(infos["mean_delay_s"][0])
    return np.array(found)


def test_one_sample_is_one_pass_and_more_are_never_worse(model, given):
    limits = make_generator("multi-user", **SMALL).limits
    one_pass = acted_delays_s(model, model.card.decisions, given)
    np.testing.assert_allclose(delays_s(make_sampler(model, limits, 1), given), one_pass, rtol=1e-9)
    few = delays_s(make_sampler(model, limits, 4), given)
    assert (few < one_pass * (1.0 - 1e-9)).any()  # all but the first are drawn
    many = delays_s(make_sampler(model, limits, 25), given)
    assert (many <= one_pass * (1.0 + 1e-9)).all()
    assert (many < 0.95 * one_pass).any()  # and drawing finds something


def test_plans_depend_on_the_random_stream_alone(model, given):
    planner, given = make_sampler(model, make_generator("multi-user", **SMALL).limits, 4), given[:5]
    first = [planner(scenario, np.random.default_rng(7)) for scenario in given]
    assert [planner(scenario, np.random.default_rng(7)) for scenario in reversed(given)] == first[::-1]
    assert [planner(scenario, np.random.default_rng(8)) for scenario in given] != first


def test_slots_to_come_are_not_looked_at(tmp_path):
    scenario = scenarios("mobile", 1, seed=2, moves=False)[0]
    assert scenario.num_slots > 1
    limits = make_generator("mobile", moves=False).limits
    planner = make_sampler(load(saved_model(tmp_path, family="mobile", options={"moves": False})), limits, 4)
    up = np.array(scenario.links.up_bytes_per_s)
    up[1:] *= 0.1
    later = replace(scenario, links=replace(scenario.links, up_bytes_per_s=up))
    up = np.array(scenario.links.up_bytes_per_s)
    up[0] *= np.linspace(0.1, 1.0, up.shape[2])
    now = replace(scenario, links=replace(scenario.links, up_bytes_per_s=up))
    planned = planner(scenario, np.random.default_rng(1))
    assert planner(later, np.random.default_rng(1)) == planned
    assert planner(now, np.random.default_rng(1)) != planned


def test_actions_are_drawn_by_their_scores():
    scores = np.array([[np.log(0.5), ILLEGAL, np.log(0.2), np.log(0.3)]], np.float32)
    drawn = _drawn(np.repeat(scores, 20_000, axis=0), np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 20_000, [0.5, 0.0, 0.2, 0.3], atol=0.015)
    assert (drawn != 1).all()


def test_what_cannot_be_sampled_is_named(tmp_path):
    generator = make_generator("multi-user", **SMALL)
    file = saved_model(tmp_path, "dqn")
    with pytest.raises(ValueError, match="trained with 'dqn' cannot be sampled"):
        make_sampler(load(file), generator.limits, 4)
    env = MigrationVectorEnv(1, generator)
    with pytest.raises(ValueError, match="'dqn' cannot be sampled"):
        resolve_policy(f"{file}@4", env, 0)
    with pytest.raises(ValueError, match="asks for 0 samples; give 1 or more"):
        resolve_policy(f"{file}@0", env, 0)
    with pytest.raises(ValueError, match="'joint-efficiency@8' asks for samples, but only trained"):
        resolve_policy("joint-efficiency@8", env, 0)


def test_a_name_with_a_number_of_samples_plans_and_replans(tmp_path, given):
    file = saved_model(tmp_path)
    env = MigrationVectorEnv(2, make_generator("multi-user", **SMALL))
    for name in (f"{file}@4", f"{file}@4@replan"):
        policy = resolve_policy(name, env, 0)
        observation, _ = env.reset(options={"scenarios": given[:2]})
        actions, _ = policy.predict(observation)
        assert observation["action_mask"][np.arange(2), actions].all()
        assert (policy.planning_s > 0).all()
        once_s = policy.planning_s.copy()
        policy.predict(observation)
        assert (policy.planning_s > once_s).all() == name.endswith("@replan")


class Least:
    """Stands for a random generator whose next numbers are all 0."""

    def random(self, shape):
        return np.zeros(shape)


def test_the_least_random_number_draws_no_illegal_action():
    assert _drawn(np.array([[ILLEGAL, 0.0, ILLEGAL, 0.0]], np.float32), Least()).tolist() == [1]


def test_a_network_that_plans_by_samples_sees_velocities_per_slot_as_in_the_environment(tmp_path, monkeypatch):
    options = {"num_users": 2, "max_layers": 8, "moves": False}
    policy = load(saved_model(tmp_path, family="mobile", options=options))
    env = MigrationEnv(make_generator("mobile", **options))
    observation, _ = env.reset(seed=2)
    while env.episodes.state.slot[0] < 3 or env.known_scenario() is None:  # then 27 slots are known as one
        observation = env.step(env.action_space.n - 1)[0]
    part = env.episodes.facts.slices["users"]
    seen, real = [], policy.scores
    monkeypatch.setattr(policy, "scores", lambda given: seen.append(given["observation"][0]) or real(given))
    whole = env.scenario()
    for given in (env.known_scenario(), whole):
        make_sampler(policy, env.episodes.limits, 2)(given, np.random.default_rng(0))
        if given is whole:
            observation, _ = env.reset(options={"scenario": whole})
        now, planned = (array[part].reshape(2, len(USER_FEATURES)) for array in (observation["observation"], seen[0]))
        columns = [k for k, feature in enumerate(USER_FEATURES) if feature.name.startswith("velocity")]
        assert len(columns) == 2
        assert np.abs(now[:, columns]).max() > 0.01
        np.testing.assert_allclose(planned[:, columns], now[:, columns], rtol=1e-5)
        seen.clear()
