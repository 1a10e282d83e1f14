"""Samples of a network that sees candidates: most explore without the reference plan, others refine the best plans."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from agents.candidates.features import (
    CANDIDATE_FEATURES,
    CANDIDATE_WIDTH,
    REFERENCE_FEATURES,
    SITUATION_FEATURES,
    SITUATION_WIDTH,
)
from agents.candidates.layout import CandidateLayout
from agents.candidates.network import CandidateNetwork, blinded
from agents.candidates.sampling import CandidateSampler
from agents.policies.trained import Card, TrainedPolicy
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.simulation.plan import check_plan
from dnnmig_env.simulation.simulator import simulate

SMALL = {"num_users": (2, 3), "max_layers": 8}
GENERATOR = make_generator("multi-user", **SMALL)
LIMITS = GENERATOR.limits


class Watched(TrainedPolicy):
    """Notes what it is shown."""

    def __init__(self, *args):
        super().__init__(*args)
        self.shown = []

    def scores(self, observation):
        self.shown.append(observation["observation"].copy())
        return super().scores(observation)


def policy_for(limits):
    torch.manual_seed(0)
    sizes = limits.users, limits.layers, limits.servers
    card = Card("ppo", "multi-user", "joint", *sizes, 48, 48, 0, "candidates")
    return Watched(CandidateNetwork(CandidateLayout(*sizes)), card)


@pytest.fixture
def policy():
    return policy_for(LIMITS)


@pytest.fixture(scope="module")
def given():
    return scenarios("multi-user", 24, seed=3, **SMALL)


@pytest.fixture(scope="module")
def observation(given):
    env = MigrationVectorEnv(len(given), GENERATOR, observation="candidates")
    return env.reset(options={"scenarios": given})[0]


def feature(observations, name):
    """Return one feature of all candidates, (B, K)."""
    features = observations[:, SITUATION_WIDTH:].reshape(len(observations), -1, CANDIDATE_WIDTH)
    return features[..., CANDIDATE_FEATURES.index(name)]


def delays_s(policy, samples, given, seed=0, limits=LIMITS):
    planner = CandidateSampler(policy, limits, samples)
    plans = [planner(scenario, np.random.default_rng(seed)) for scenario in given]
    for scenario, plan in zip(given, plans, strict=True):
        check_plan(scenario, plan)
    return np.array([simulate(scenario, plan).mean_delay_s for scenario, plan in zip(given, plans, strict=True)])


def test_one_sample_is_one_pass_and_many_find_better_plans(policy, given):
    env = MigrationVectorEnv(1, GENERATOR, observation="candidates")
    one_pass = []
    for scenario in given:
        seen, _ = env.reset(options={"scenarios": [scenario]})
        ended = [False]
        while not ended[0]:
            seen, _, ended, _, infos = env.step(policy.predict(seen)[0])
        one_pass.append(infos["mean_delay_s"][0])
    np.testing.assert_allclose(delays_s(policy, 1, given), one_pass, rtol=1e-9)
    many = delays_s(policy, 24, given)
    assert (many <= np.array(one_pass) * (1.0 + 1e-9)).all()
    assert many.mean() < 0.999 * np.mean(one_pass)
    assert (many < 0.995 * np.array(one_pass)).any()


def test_a_sample_that_explores_is_the_same_however_many_follow(policy, given):
    """Up to three samples only explore: biases are drawn, one after the other."""
    found = [delays_s(policy, samples, given) for samples in (1, 2, 3)]
    for fewer, more in pairwise(found):
        assert (more <= fewer * (1.0 + 1e-12)).all()


def test_every_other_sample_pins_one_user_to_one_server_each_time_another(policy, given):
    planner = CandidateSampler(policy, LIMITS, 28)
    scenario = given[0]
    users, servers = len(scenario.users), len(scenario.servers)
    planner(scenario, np.random.default_rng(0))
    shape = (24, LIMITS.users, LIMITS.layers, LIMITS.servers)  # the four others refine
    biases = planner._biases(np.random.default_rng(1))[:, :-1].reshape(shape)
    assert (biases == biases[:, :, :1]).all()  # whatever the layer
    penalised = biases[:, :, 0] <= -4.0
    assert not penalised[[0, *range(1, 24, 2)]].any()
    kept = [np.flatnonzero(penalised[sample].any(axis=1)) for sample in range(2, 24, 2)]
    pairs = [(user, int(biases[2 * k + 2, user, 0].argmax())) for k, (user,) in enumerate(kept)]
    assert all(user < users and server < servers for user, server in pairs)
    assert (penalised.sum(axis=(1, 2))[2::2] == LIMITS.servers - 1).all()
    assert len(set(pairs)) == min(11, users * servers)


def test_plans_depend_on_the_random_stream_alone(policy, given):
    planner = CandidateSampler(policy, LIMITS, 8)
    first = [planner(scenario, np.random.default_rng(7)) for scenario in given]
    assert [planner(scenario, np.random.default_rng(7)) for scenario in reversed(given)] == first[::-1]


def test_another_random_stream_tries_other_plans(policy, given):
    planner, tried = CandidateSampler(policy, LIMITS, 8), []
    for seed in (7, 7, 8):
        policy.shown.clear()
        for scenario in given:
            planner(scenario, np.random.default_rng(seed))
        tried.append(np.concatenate(policy.shown))
    assert np.array_equal(tried[0], tried[1])
    assert not np.array_equal(tried[0], tried[2])


def test_samples_that_explore_never_see_the_reference_plan_and_those_that_refine_do(policy, given):
    CandidateSampler(policy, LIMITS, 8)(given[0], np.random.default_rng(0))
    begins = [k for k, shown in enumerate(policy.shown) if (shown[:, 0] == 1.0).all()]  # the whole horizon is left
    first, *rounds = (policy.shown[k] for k in begins)
    assert len(rounds) == 2
    for name in REFERENCE_FEATURES[:2]:
        assert feature(first, name).any(axis=1).tolist() == [True] + 5 * [False]  # the greedy sample sees it
        for refining in rounds:
            assert feature(refining, name).any(axis=1).tolist() == [True]
    assert feature(first, "interval").any(axis=1).all()  # all else is there
    exploring = [shown for shown in policy.shown[: begins[1]] if len(shown) == 6]  # none has ended: row k is sample k
    assert any(feature(shown, "gain").any() for shown in exploring)
    for shown in exploring:
        for name in REFERENCE_FEATURES[:3]:
            assert not feature(shown, name)[1:].any()
        assert not shown[1:, SITUATION_FEATURES.index("done")].any()


def test_refining_makes_the_best_plans_better(monkeypatch):
    generator = make_generator("multi-user")
    given, policy = scenarios("multi-user", 4, seed=2), policy_for(generator.limits)
    refined = delays_s(policy, 16, given, limits=generator.limits)
    monkeypatch.setattr(CandidateSampler, "_refine", lambda *_: None)
    explored = delays_s(policy, 16, given, limits=generator.limits)
    assert (refined <= explored * (1.0 + 1e-9)).all()
    assert refined.mean() < 0.9998 * explored.mean()


def test_who_is_blind_to_features_decides_alike_whatever_they_are(policy, observation):
    mask, other = observation["action_mask"], observation["observation"].copy()
    for name in REFERENCE_FEATURES[:3]:
        feature(other, name)[:] = np.random.default_rng(0).uniform(-1.0, 1.0, feature(other, name).shape)
    other[:, SITUATION_FEATURES.index("done")] = 1.0
    seeing = [policy.scores({"observation": seen, "action_mask": mask}) for seen in (observation["observation"], other)]
    blind = [
        policy.scores({"observation": blinded(seen, REFERENCE_FEATURES), "action_mask": mask})
        for seen in (observation["observation"], other)
    ]
    assert not torch.equal(*seeing)
    assert torch.equal(*blind)


def test_blinding_leaves_the_rest_and_the_original_as_they_are(observation):
    vector = observation["observation"]
    before, hidden = vector.copy(), blinded(vector, ["rank"])
    np.testing.assert_array_equal(vector, before)
    assert feature(vector, "rank").any()
    assert not feature(hidden, "rank").any()
    feature(hidden, "rank")[:] = feature(vector, "rank")
    np.testing.assert_array_equal(hidden, vector)
    with pytest.raises(
        ValueError, match=r"names has 'charm', which is no feature; choose among horizon_left, .*interval, "
    ):
        blinded(vector, ["rank", "charm"])
