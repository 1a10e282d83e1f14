"""Policies choose, explore and bootstrap among legal actions only, whoever calls them and however."""

import math

import numpy as np
import pytest
import torch
from sb3_contrib.common.maskable.evaluation import evaluate_policy as evaluate_with_masks
from stable_baselines3.common.evaluation import evaluate_policy

from agents.learning.algorithms import ALGORITHMS, TRAINING_REWARD, make_model
from agents.learning.masked_policy import MaskableDistribution, MaskedCategorical, MaskedDistribution
from agents.learning.sb3_vec_env import Sb3VecEnv
from agents.policy_networks.facts import ILLEGAL
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator

ROWS = 16


def model_of(algorithm, family="toy", **settings):
    options = {"autoreset_mode": "SameStep", **TRAINING_REWARD}
    env = Sb3VecEnv(MigrationVectorEnv(ROWS, make_generator(family), **options))
    small = {
        "ppo": {"n_steps": 8, "batch_size": 64},
        "maskable-ppo": {"n_steps": 8, "batch_size": 64},
        "dqn": {"buffer_size": 1000, "learning_starts": 64, "target_update_interval": ROWS},
        "a2c": {},
        "grpo": {"group_size": 4, "batch_size": 64},
        "self-labelling": {"group_size": 4, "batch_size": 64},
    }
    return make_model(algorithm, env, seed=0, device="cpu", settings={**small[algorithm], **settings})


def level(model):
    """Set all weights to zero, so that every legal action scores alike."""
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.zero_()


@pytest.mark.parametrize("algorithm", ["ppo", "a2c", "maskable-ppo"])
def test_the_entropy_of_level_scores_is_the_logarithm_of_the_number_of_legal_actions(algorithm):
    model = model_of(algorithm, "edge-cloud")
    level(model)
    observations = model.env.reset()
    legal = observations["action_mask"].sum(axis=1)
    assert len(set(legal)) > 3
    tensors, _ = model.policy.obs_to_tensor(observations)
    actions = torch.as_tensor(model.predict(observations, deterministic=False)[0])
    _, log_probabilities, entropy = model.policy.evaluate_actions(tensors, actions)
    np.testing.assert_allclose(entropy.detach(), np.log(legal), rtol=1e-5)
    np.testing.assert_allclose(log_probabilities.detach(), -np.log(legal), rtol=1e-5)


def test_samples_follow_the_probabilities_and_are_never_illegal():
    torch.manual_seed(0)
    logits = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4]))
    spread = torch.tensor([ILLEGAL, logits[0], ILLEGAL, logits[1], logits[2], ILLEGAL, logits[3], ILLEGAL])
    drawn = MaskedCategorical(spread.expand(100_000, -1)).sample()
    shares = torch.bincount(drawn, minlength=8) / 100_000
    np.testing.assert_allclose(shares, [0, 0.1, 0, 0.2, 0.3, 0, 0.4, 0], atol=0.006)
    assert shares[[0, 2, 5, 7]].sum() == 0


def test_entropies_are_those_of_torch():
    torch.manual_seed(0)
    scores = torch.randn(50, 30)
    mask = torch.rand(50, 30) < 0.4
    mask[:, 0] = True
    found = MaskedCategorical(torch.where(mask, scores, ILLEGAL)).entropy()
    for row in range(50):
        expected = torch.distributions.Categorical(logits=scores[row, mask[row]]).entropy()
        assert float(found[row]) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_a_mask_decides_alone_when_it_leaves_one_action(algorithm, deterministic):
    model = model_of(algorithm)
    observations, rng = model.env.reset(), np.random.default_rng(0)
    size = observations["action_mask"].shape[1]
    for _ in range(10):
        only = rng.integers(size, size=ROWS)
        observations["action_mask"][:] = 0
        observations["action_mask"][np.arange(ROWS), only] = 1
        actions, _ = model.predict(observations, deterministic=deterministic)
        assert actions.tolist() == only.tolist()
        single = {name: array[0] for name, array in observations.items()}
        assert model.predict(single, deterministic=deterministic)[0] == only[0]


@pytest.mark.parametrize("algorithm", sorted(set(ALGORITHMS) - {"grpo", "self-labelling"}))
def test_training_meets_no_illegal_action(algorithm):
    model = model_of(algorithm, "edge-cloud")
    before = [parameter.clone() for parameter in model.policy.parameters()]
    illegal = []

    def watch(local, _):
        illegal.extend(info.get("illegal_action", False) for info in local["infos"])
        return True

    model.learn(40 * ROWS, callback=watch)
    assert not any(illegal)
    assert len(illegal) > 30 * ROWS
    assert any(not torch.equal(one, other) for one, other in zip(before, model.policy.parameters(), strict=True))
    if algorithm == "dqn":  # a bootstrap from an illegal action would be of its size
        tensors, _ = model.policy.obs_to_tensor(model.env.reset())
        assert model.q_net(tensors).detach().amax(1).abs().max() < 10


@pytest.mark.parametrize("algorithm", ["ppo", "maskable-ppo", "dqn"])
def test_evaluation_honours_the_mask_without_being_told(algorithm):
    model = model_of(algorithm, "edge-cloud")
    env = Sb3VecEnv(MigrationVectorEnv(4, make_generator("edge-cloud"), autoreset_mode="SameStep", scale="device-only"))
    found = []
    for evaluate in [evaluate_policy] + [evaluate_with_masks] * (algorithm == "maskable-ppo"):
        env.seed(0)
        found.append(evaluate(model, env, n_eval_episodes=20)[0])
    assert min(found) > -1.0  # an illegal action would have been charged at the device-only delay
    assert len(set(found)) == 1


def test_dqn_bootstraps_from_legal_actions_only():
    model = model_of("dqn", "edge-cloud")
    observations = model.env.reset()
    tensors, _ = model.policy.obs_to_tensor(observations)
    with torch.no_grad():
        values = model.q_net_target(tensors)
    legal = torch.as_tensor(observations["action_mask"]) > 0
    assert (values[~legal] <= 0.5 * ILLEGAL).all()
    assert values[legal].abs().max() < 10
    assert torch.equal(values.max(1).values, torch.where(legal, values, -math.inf).max(1).values)


def test_dqn_explores_all_legal_actions_alike():
    model = model_of("dqn")
    model.exploration_rate = 1.0
    one = {name: array[:1] for name, array in model.env.reset().items()}
    many = {name: np.repeat(array, 6000, axis=0) for name, array in one.items()}
    np.random.seed(0)
    actions, _ = model.predict(many, deterministic=False)
    legal = np.flatnonzero(one["action_mask"][0])
    assert set(actions) == set(legal)
    np.testing.assert_allclose(np.bincount(actions)[legal] / 6000, 1 / len(legal), atol=0.02)


def test_values_of_actions_are_the_states_value_and_a_fiftieth_of_how_scores_differ():
    model = model_of("dqn", "edge-cloud")
    tensors, _ = model.policy.obs_to_tensor(model.env.reset())
    with torch.no_grad():
        found = model.q_net(tensors)
        scores, value = model.q_net.network(tensors["observation"], tensors["action_mask"])
    for row, legal in enumerate(tensors["action_mask"] > 0):
        expected = value[row] + 0.02 * (scores[row, legal] - scores[row, legal].mean())
        np.testing.assert_allclose(found[row, legal], expected, rtol=1e-4, atol=1e-5)


def test_each_environment_explores_or_not_by_itself():
    model = model_of("dqn", "edge-cloud")
    model.exploration_rate = 0.5
    observations = model.env.reset()
    np.random.seed(0)
    greedy = model.predict(observations, deterministic=True)[0]
    alike = [int((model.predict(observations, deterministic=False)[0] == greedy).sum()) for _ in range(8)]
    assert min(alike) > 0
    assert max(alike) < ROWS


@pytest.mark.parametrize("kind", [MaskedDistribution, MaskableDistribution])
@pytest.mark.parametrize("lanes", [False, True])
def test_where_there_are_lanes_it_is_asked_first_whether_anything_is_sent(kind, lanes):
    logits = torch.tensor([[0.3, 0.25, 0.45]]).log()
    chosen = kind(3, lanes=lanes).proba_distribution(action_logits=logits).mode()
    assert chosen.tolist() == [0 if lanes else 2]


@pytest.mark.parametrize("algorithm", ["grpo", "maskable-ppo"])
@pytest.mark.parametrize(("family", "lanes"), [("toy", False), ("mobile", True)])
def test_policies_know_whether_there_are_lanes(algorithm, family, lanes):
    assert model_of(algorithm, family).policy.action_dist._lanes == lanes
