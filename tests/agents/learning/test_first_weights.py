"""A new model begins with the weights of a trained one, and with nothing else."""

import types

import pytest
import torch

from agents.learning.algorithms import TRAINING_REWARD, make_model
from agents.learning.checkpoint import save
from agents.learning.first_weights import network_of, take_weights
from agents.learning.sb3_vec_env import Sb3VecEnv
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator


def model_of(family="toy", algorithm="grpo", seed=0, network=types.MappingProxyType({})):
    env = MigrationVectorEnv(16, make_generator(family), autoreset_mode="SameStep", **TRAINING_REWARD)
    settings = {"buffer_size": 100} if algorithm == "dqn" else {}
    return make_model(algorithm, Sb3VecEnv(env), seed, "cpu", settings, network)


def saved(model, path, family="toy", algorithm="grpo"):
    save(model, path, family, "joint", algorithm)
    return str(path)


def take(model, name, family="toy"):
    take_weights(model, name, model.get_env().env, family)


@pytest.mark.parametrize("algorithm", ["grpo", "self-labelling", "ppo", "a2c", "maskable-ppo"])
def test_all_weights_of_the_network_are_taken_over_and_the_trained_model_stays(tmp_path, algorithm):
    trained, model = model_of(seed=1), model_of(algorithm=algorithm, seed=2)
    before = {name: weight.clone() for name, weight in network_of(trained).state_dict().items()}
    name = saved(trained, tmp_path / "model.zip")
    take(model, name)
    for key, weight in network_of(model).state_dict().items():
        assert torch.equal(weight, before[key])
    with torch.no_grad():
        next(network_of(model).parameters()).add_(1.0)
    assert all(torch.equal(weight, before[key]) for key, weight in network_of(trained).state_dict().items())


def test_a_model_of_another_family_and_of_other_sizes_will_do(tmp_path):
    trained, model = model_of("single", seed=1), model_of("multi-user")
    take(model, saved(trained, tmp_path / "model.zip", "single"), "multi-user")
    assert torch.equal(network_of(model).layer_in.weight, network_of(trained).layer_in.weight)
    assert torch.equal(network_of(model).query.weight, network_of(trained).query.weight)


def test_pretrained_is_the_agent_of_the_family():
    wide = {"width": 64, "context": 128}
    edge, multi = model_of("single", network=wide), model_of("single", network=wide)
    take(edge, "pretrained", "edge-cloud")
    take(multi, "pretrained", "multi-user")
    assert not torch.equal(network_of(edge).query.weight, network_of(multi).query.weight)


def test_what_cannot_be_taken_over_is_said(tmp_path):
    name = saved(model_of(), tmp_path / "model.zip")
    with pytest.raises(
        ValueError, match=r"--network.width is 16, but the network of .*' has other sizes; give --network.width 32\."
    ):
        take(model_of(network={"width": 16, "context": 64}), name)
    with pytest.raises(
        ValueError, match=r"--network.context is 16, but the network of .* has other sizes; give --network.context 64\."
    ):
        take(model_of(network={"width": 32, "context": 16}), name)
    with pytest.raises(ValueError, match="was trained where weights go through one lane, and here they go through"):
        take(model_of("mobile"), name, "mobile")
    with pytest.raises(
        ValueError, match="--begin-with is 'joint-efficiency'; give a trained model: pretrained, a file"
    ):
        take(model_of(), "joint-efficiency")
    with pytest.raises(ValueError, match="--begin-with is 'pretrained@8'; give a trained model"):
        take(model_of(), "pretrained@8")
    own = model_of()
    own.policy.mlp_extractor.network = torch.nn.Identity()
    with pytest.raises(ValueError, match=r"but this policy has .*; leave out --begin-with or --policy-class"):
        take(own, name)
    values = saved(model_of(algorithm="dqn"), tmp_path / "values.zip", algorithm="dqn")
    with pytest.raises(ValueError, match="of which scores are no probabilities; take a model of grpo or ppo"):
        take(model_of(), values)
    with pytest.raises(ValueError, match="needs an algorithm with probabilities of actions, such as grpo; DQN has"):
        take(model_of(algorithm="dqn"), name)
