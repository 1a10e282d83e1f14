"""Matrices take the steps of Muon and everything else those of Adam; what both have seen is saved and read back."""

import pytest
import torch
from torch import nn
from torch.optim import Adam, Muon

from agents.learning.algorithms import TRAINING_REWARD, make_model
from agents.learning.groups.grpo import GRPO
from agents.learning.masked_policy import MaskedActorCriticPolicy
from agents.learning.muon_with_adam import MUON_BY_ADAM, MuonWithAdam, is_matrix
from agents.learning.sb3_vec_env import Sb3VecEnv
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))


def learn(net, *optimizers, steps, first=0):
    """Take some steps, each with all optimisers, on losses that follow from the number of the step."""
    for number in range(first, first + steps):
        data = torch.randn(32, 6, generator=torch.Generator().manual_seed(number))
        net.zero_grad()
        (net(data).squeeze(1) - data.sum(1)).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()


def all_of(net):
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


def test_steps_are_those_of_both_side_by_side():
    ours, theirs = network(), network()
    optimizer = MuonWithAdam(ours.parameters(), lr=0.003, eps=1e-5)
    matrix, *others = theirs.parameters()  # the second weights are a row, and no matrix
    muon, adam = Muon([matrix], lr=0.003 * MUON_BY_ADAM, weight_decay=0.0), Adam(others, lr=0.003, eps=1e-5)
    learn(ours, optimizer, steps=5)
    learn(theirs, muon, adam, steps=5)
    assert torch.equal(all_of(ours), all_of(theirs))


@pytest.mark.parametrize(("shape", "matrix"), [((2, 2), True), ((1, 5), False), ((5, 1), False), ((4,), False)])
def test_what_is_a_matrix(shape, matrix):
    assert is_matrix(torch.zeros(shape)) == matrix
    assert not is_matrix(torch.zeros(*shape, 2, 2))


def test_a_step_of_a_matrix_is_about_as_long_in_all_directions():
    net = nn.Linear(16, 16, bias=False)
    before = net.weight.detach().clone()
    net.weight.grad = torch.diag(torch.logspace(0, -2, 16))  # gradients differ a hundredfold
    MuonWithAdam(net.parameters(), lr=0.01).step()
    step = torch.linalg.svdvals(net.weight.detach() - before)
    assert torch.all((step > 0.05) & (step < 0.13))  # 10 times 0.01, which Muon approximates


def test_a_step_size_set_from_outside_is_taken_by_both():
    net = network()
    optimizer, before = MuonWithAdam(net.parameters(), lr=0.5), all_of(net)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    learn(net, optimizer, steps=2)
    assert torch.equal(all_of(net), before)
    optimizer.param_groups[0]["lr"] = 1e-3
    learn(net, optimizer, steps=1)
    assert [bool((now != then).any()) for now, then in zip(net.parameters(), network().parameters(), strict=True)] == [
        True,
        False,
        False,
        False,
    ]


def test_training_goes_on_from_a_saved_state_as_if_nothing_had_happened():
    whole, halves = network(), network()
    learn(whole, MuonWithAdam(whole.parameters(), lr=0.003), steps=6)
    first = MuonWithAdam(halves.parameters(), lr=0.003)
    learn(halves, first, steps=3)
    second = MuonWithAdam(halves.parameters(), lr=0.003)
    second.load_state_dict(first.state_dict())
    learn(halves, second, steps=3, first=3)
    assert torch.equal(all_of(halves), all_of(whole))


@pytest.mark.parametrize("only", [nn.Linear(3, 3, bias=False), nn.LayerNorm(4)], ids=["matrices", "vectors"])
def test_either_kind_of_parameters_may_be_missing(only):
    optimizer, before = MuonWithAdam(only.parameters(), lr=0.01), all_of(only)
    for parameter in only.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert len(optimizer.param_groups) == 1
    assert (all_of(only) != before).all()


def test_parameters_without_gradients_stay():
    net, before = network(), all_of(network())
    MuonWithAdam(net.parameters(), lr=0.1).step()
    assert torch.equal(all_of(net), before)


def test_no_parameters_are_refused():
    with pytest.raises(ValueError, match="empty parameter list"):
        MuonWithAdam([])


def test_a_closure_is_evaluated_with_gradients_and_its_loss_returned():
    net = network()
    optimizer = MuonWithAdam(net.parameters(), lr=0.01)
    before = all_of(net)

    def closure():
        optimizer.zero_grad()
        loss = net(torch.ones(4, 6)).square().mean()
        loss.backward()
        return loss

    assert optimizer.step(closure) > 0
    assert not torch.equal(all_of(net), before)


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("grpo", MuonWithAdam), ("self-labelling", MuonWithAdam), ("ppo", Adam), ("a2c", Adam)]
)
def test_algorithms_of_this_project_learn_with_it_and_others_as_stable_baselines3_has_them(algorithm, kind):
    env = Sb3VecEnv(MigrationVectorEnv(16, make_generator("toy"), autoreset_mode="SameStep", **TRAINING_REWARD))
    optimizer = make_model(algorithm, env, 0, "cpu", {}).policy.optimizer
    assert type(optimizer) is kind
    adam = optimizer._parts[1][0] if kind is MuonWithAdam else optimizer
    assert adam.param_groups[0]["eps"] == 1e-5


def test_who_names_another_optimiser_gets_it():
    env = Sb3VecEnv(MigrationVectorEnv(16, make_generator("toy"), autoreset_mode="SameStep", **TRAINING_REWARD))
    given = {"layout": env.env.episodes.layout, "optimizer_class": torch.optim.SGD}
    assert type(GRPO(MaskedActorCriticPolicy, env, policy_kwargs=given).policy.optimizer) is torch.optim.SGD
