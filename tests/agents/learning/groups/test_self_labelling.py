"""Self-labelling: of each group the best rollout is imitated, and nothing else."""

import numpy as np
import pytest
import torch

from agents.learning.algorithms import TRAINING_REWARD, make_model
from agents.learning.sb3_vec_env import Sb3VecEnv
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator
from tests.agents.learning.groups.test_grpo import Silent, played


def model_of(family="edge-cloud", rows=8, decisions="joint", **settings):
    env = MigrationVectorEnv(rows, make_generator(family), decisions, autoreset_mode="SameStep", **TRAINING_REWARD)
    return make_model("self-labelling", Sb3VecEnv(env), 0, "cpu", {"group_size": 4, "batch_size": 64, **settings})


def likely(model, moments):
    """Return the logarithms of the probabilities that a model's network gives to decisions now."""
    scores = model.policy.mlp_extractor({"observation": moments.observation, "action_mask": moments.mask})[0].detach()
    return torch.log_softmax(scores, 1).gather(1, moments.action[:, None]).squeeze(1)


def test_the_best_of_each_group_is_the_one_whose_plan_costs_least():
    model = model_of("multi-user", rows=12)
    arena, _, judged = played(model)
    delays_s = (arena.episodes.state.cost_s / arena.episodes.state.expected_queries).reshape(3, 4)
    best = judged[:, 0, 0].reshape(3, 4)
    assert best.sum(1).tolist() == [1.0, 1.0, 1.0]
    chosen_s = (best.numpy() * delays_s).sum(axis=1)
    np.testing.assert_allclose(chosen_s, delays_s.min(axis=1), rtol=1e-9)  # several may be the same plan
    assert (chosen_s < delays_s.mean(axis=1)).all()
    assert (judged == judged[:, :1, :1]).all()
    assert judged.shape == (12, 1, arena.episodes.actions.users + 1)


def test_of_rollouts_that_cost_the_same_none_is_the_best():
    costs = np.array([3.0, 2.0, 2.0, 4.0, 5.0, 5.0, 5.0 * (1 - 1e-12), 5.0])[:, None, None]
    assert model_of()._judged(costs, np.ones(8))[:, 0, 0].tolist() == [0, 1, 0, 0, 0, 0, 0, 0]
    of_users = np.array([[1.0, 9.0], [5.0, 4.0], [6.0, 6.0], [7.0, 7.0]])[:, None]  # the sum counts
    assert model_of(rows=4)._judged(of_users, np.ones(4))[:, 0, 0].tolist() == [0, 1, 0, 0]


def test_decisions_of_the_best_become_likelier_and_others_are_not_looked_at():
    model = model_of(n_epochs=1, batch_size=4096, learning_rate=1e-3)
    _, moments, judged = played(model)
    is_best = judged[moments.row, 0, 0] > 0
    before, seen, real = likely(model, moments), [], model._step
    model._step = lambda given, batch: seen.extend(batch.tolist()) or real(given, batch)
    model._train(moments, judged)
    assert sorted(seen) == torch.nonzero(is_best).squeeze(1).tolist()
    assert 0 < len(seen) < len(moments.row) / 2
    moved = likely(model, moments) - before
    assert moved[is_best].mean() > 0.0 and moved[is_best].mean() > moved[~is_best].mean()
    loss = model.logger.name_to_value["train/loss"]
    assert loss == pytest.approx(-float(before[is_best].mean()), rel=1e-4)


def test_each_label_is_learned_from_once_in_every_epoch_in_an_order_of_its_own():
    model = model_of(n_epochs=3, batch_size=5)
    _, moments, judged = played(model)
    batches, real = [], model._step
    model._step = lambda given, batch: batches.append(batch.tolist()) or real(given, batch)
    model._train(moments, judged)
    labels = torch.nonzero(judged[moments.row, 0, 0]).squeeze(1).tolist()
    seen = [each for batch in batches for each in batch]
    assert [sorted(seen[k * len(labels) : (k + 1) * len(labels)]) for k in range(3)] == [labels] * 3
    assert seen[: len(labels)] != seen[len(labels) : 2 * len(labels)] and max(map(len, batches)) == 5


def test_where_nothing_differs_nothing_is_learned():
    model = model_of()
    _, moments, judged = played(model)
    before = [weights.clone() for weights in model.policy.parameters()]
    model._train(moments, torch.zeros_like(judged))
    assert all((old == new).all() for old, new in zip(before, model.policy.parameters(), strict=True))
    assert "train/loss" not in model.logger.name_to_value


@pytest.mark.parametrize("decisions", ["joint", "two-phase"])
def test_it_learns_the_toy_by_heart(decisions):
    model = model_of("toy", rows=32, decisions=decisions, batch_size=32)
    model._setup_learn(1, None)
    arena, costs = model._arena(), []
    for _ in range(30):
        moments, judged = model._play(arena, Silent())
        costs.append(float((arena.episodes.state.cost_s / arena.episodes.state.expected_queries).mean()))
        model._train(moments, judged)
    assert np.mean(costs[-3:]) < 0.9 * np.mean(costs[:3])
    assert np.mean(costs[-3:]) < np.mean(costs[10:13]) * 1.02
