"""A teacher's decisions and what they earned are noted as they were, and a network learns to decide alike."""

from functools import cache

import numpy as np
import pytest
import torch

from agents.candidates.features import SITUATION_FEATURES
from agents.learning.algorithms import CANDIDATES_REWARD, TRAINING_REWARD, make_model
from agents.learning.imitation import EPOCHS, Demonstrations, demonstrate, imitate
from agents.learning.sb3_vec_env import Sb3VecEnv
from agents.policies.policy import resolve_policy
from agents.policy_networks.facts import ILLEGAL
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator
from dnnmig_env.families.toy import OPTIMAL_DELAY_S
from tests.agents.played import mean_delay_s

TEACHER = "joint-efficiency"
REWARDS = {"candidates": CANDIDATES_REWARD, "plain": TRAINING_REWARD}


def env_of(family="toy", rows=8, observation="candidates", autoreset_mode="Disabled", **reward):
    options = {"observation": observation, "autoreset_mode": autoreset_mode, **(reward or REWARDS[observation])}
    return MigrationVectorEnv(rows, make_generator(family), **options)


def model_of(algorithm="ppo", family="toy", observation="candidates", seed=0):
    """Return a model that knows nothing of efficiencies and reference plans."""
    env = Sb3VecEnv(env_of(family, 4, observation, "SameStep"))
    settings = {"buffer_size": 100} if algorithm == "dqn" else {}
    model = make_model(algorithm, env, seed, "cpu", settings)
    for name, weight in model.policy.named_parameters():
        if name.endswith(("network.prior", "network.efficiency")):
            weight.data.zero_()
    return model


def weights(model):
    return torch.cat([weight.detach().flatten() for weight in model.policy.parameters()])


def agreement(model, env, teacher=TEACHER, seed=99):
    """Return how often a model decides as the teacher, in episodes that the teacher plays."""
    policy = resolve_policy(teacher, env, 0)
    observation, _ = env.reset(seed=seed)
    running, alike, count = np.ones(env.num_envs, np.bool_), 0, 0
    while running.any():
        actions = policy.predict(observation)[0]
        alike += int((model.predict(observation, deterministic=True)[0] == actions)[running].sum())
        count += int(running.sum())
        observation, _, ended, _, _ = env.step(actions)
        running &= ~ended
    return alike / count


@cache
def of_the_best(observation):
    """Return what the best plan of the toy decides; the reward is the delay that is saved."""
    return demonstrate("exact", env_of("toy", 64, observation, **TRAINING_REWARD), 1536, seed=0)


@pytest.mark.parametrize("reward", ["delay", "shaped", "reference"])
@pytest.mark.parametrize("family", ["toy", "single"])
def test_values_are_what_the_environment_paid_from_there_on(family, reward):
    env, ended = env_of(family, 3, reward=reward), []
    shown = demonstrate(TEACHER, env, 6, seed=4, on_end=lambda: ended.append(1))
    assert len(ended) == 6
    again = env_of(family, 3, reward=reward)
    policy = resolve_policy(TEACHER, again, 4)
    seeds = [int(seed) for seed in np.random.SeedSequence(4).generate_state(6)]
    expected = []
    for first in (0, 3):
        observation, _ = again.reset(seed=seeds[first : first + 3])
        running, steps = np.ones(3, np.bool_), []
        while running.any():
            actions = policy.predict(observation)[0]
            following, paid, done, _, _ = again.step(actions)
            steps.append((observation, actions, paid, running.copy()))
            observation, running = following, running & ~done
        for k, (seen, actions, _, running) in enumerate(steps):
            for row in np.flatnonzero(running):
                to_go = sum(paid[row] for _, _, paid, _ in steps[k:])  # rows that have ended are paid nothing
                expected.append((seen["observation"][row], seen["action_mask"][row], actions[row], to_go))
    assert len(shown.action) == len(expected) > 10

    def key(moment):
        return (*moment[0].tolist(), int(moment[2]), float(moment[3]))

    found = zip(shown.observation, shown.mask, shown.action, shown.value, strict=True)
    for one, other in zip(sorted(found, key=key), sorted(expected, key=key), strict=True):
        assert one[0].tolist() == other[0].tolist()
        assert one[1].tolist() == other[1].tolist()
        assert one[1][one[2]]  # legal
        assert one[2] == other[2]
        assert one[3] == pytest.approx(other[3], rel=1e-6, abs=1e-6)


def test_a_teacher_that_is_the_reference_saves_nothing_against_it():
    # Where weights give way to data, an upload takes longer than a plan in larger partitions says.
    generator = make_generator("single", uplink="independent")
    env = MigrationVectorEnv(8, generator, autoreset_mode="Disabled", observation="candidates", **REWARDS["candidates"])
    shown = demonstrate(TEACHER, env, 8, seed=0)
    np.testing.assert_allclose(shown.value, 0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("algorithm", "observation"),
    [("ppo", "candidates"), ("hindsight", "candidates"), ("a2c", "plain"), ("maskable-ppo", "plain")],
)
def test_a_network_that_knows_nothing_learns_to_decide_as_its_teacher(algorithm, observation):
    model, env = model_of(algorithm, "toy", observation), env_of("toy", 4, observation)
    assert agreement(model, env, "exact") < 0.6
    epochs = []
    alike = imitate(model, of_the_best(observation), seed=0, on_epoch=lambda: epochs.append(1))
    assert len(epochs) == EPOCHS
    assert alike > 0.9
    assert agreement(model, env, "exact") > 0.9
    assert mean_delay_s(model, env, seed=1) == pytest.approx(OPTIMAL_DELAY_S)


def test_imitation_carries_over_to_scenarios_that_the_teacher_did_not_play():
    model, env = model_of(family="single"), env_of("single", 32)
    assert agreement(model, env) < 0.9
    imitate(model, demonstrate(TEACHER, env_of("single", 64), 256, seed=0), seed=0)
    assert agreement(model, env) > 0.9


def test_values_are_learned_too():
    model, env = model_of(), env_of()
    imitate(model, of_the_best("candidates"), seed=0)
    observation, _ = env.reset(seed=0)
    tensors, _ = model.policy.obs_to_tensor(observation)
    value = model.policy.predict_values(tensors).detach().numpy()
    np.testing.assert_allclose(value, 1 - OPTIMAL_DELAY_S / 3.5, atol=0.1)  # (5 + 2) / 2 s without uploads


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    found = []
    for seed in (3, 3, 4):
        model = model_of()
        shown = demonstrate(TEACHER, env_of("toy", 16), 512, seed=7)
        imitate(model, shown, seed)
        found.append(weights(model))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_a_random_teacher_plays_alike_for_the_same_seed():
    one, again, other = (demonstrate("random", env_of("single", 4), 8, seed) for seed in (1, 1, 2))
    assert one.action.tolist() == again.action.tolist()
    assert one.value.tolist() == again.value.tolist()
    assert one.action.tolist() != other.action.tolist()


def test_values_of_actions_are_no_probabilities():
    shown = demonstrate(TEACHER, env_of(), 8, seed=0)
    with pytest.raises(ValueError, match="needs an algorithm with probabilities of actions, such as ppo; DQN has none"):
        imitate(model_of("dqn"), shown, seed=0)


def test_unknown_teachers_are_named():
    with pytest.raises(ValueError, match="unknown planner 'genius'"):
        demonstrate("genius", env_of(), 8, seed=0)


def beyond(shown, model, env):
    """Return the demonstrations with every decision exchanged for a legal one that is no candidate."""
    observation, mask = torch.as_tensor(shown.observation), torch.as_tensor(shown.mask)
    with torch.no_grad():
        scores = model.policy.mlp_extractor.network(observation, mask)[0].numpy()
    unseen = (shown.mask > 0) & (scores <= 0.1 * ILLEGAL)
    keep = unseen.any(axis=1)
    return Demonstrations(
        shown.observation[keep], shown.mask[keep], unseen[keep].argmax(axis=1), shown.value[keep]
    ), Demonstrations(*(getattr(shown, name)[keep] for name in ("observation", "mask", "action", "value")))


def test_decisions_beyond_the_candidates_are_left_out_and_refused_if_there_are_no_others():
    model, env = model_of(family="edge-cloud"), env_of("edge-cloud", 16)
    shown = demonstrate(TEACHER, env, 16, seed=0)
    impossible, possible = beyond(shown, model, env)
    assert len(possible.action) > 100
    with pytest.raises(ValueError, match="none of the teacher's decisions is among those that the agent can take"):
        imitate(model, impossible, seed=0)
    both = Demonstrations(
        *(
            np.concatenate([getattr(one, name) for one in (possible, impossible)])
            for name in ("observation", "mask", "action", "value")
        )
    )
    alone, mixed = (model_of(family="edge-cloud") for _ in range(2))
    assert imitate(alone, possible, seed=0) == imitate(mixed, both, seed=0)
    assert torch.equal(weights(alone), weights(mixed))


def test_stopping_where_nothing_helps_any_more_is_learned_from():
    model, env = model_of(family="edge-cloud"), env_of("edge-cloud", 16)
    shown = demonstrate(TEACHER, env, 16, seed=0)
    nothing_planned = shown.observation[:, SITUATION_FEATURES.index("done")] == 1.0  # the plan may know more than it
    at_end = (shown.action == env.stop_action) & nothing_planned
    assert at_end.sum() > 5
    only = Demonstrations(*(getattr(shown, name)[at_end] for name in ("observation", "mask", "action", "value")))
    assert imitate(model, only, seed=0) > 0.9


def test_episodes_are_rounded_up_to_whole_batches():
    ended = []
    demonstrate("device-only", env_of("toy", 3), 4, seed=0, on_end=lambda: ended.append(1))
    assert len(ended) == 6
