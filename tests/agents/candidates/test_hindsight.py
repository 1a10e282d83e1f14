"""Hindsight learns what its look back shows, repeatably, and is an algorithm of SB3 like any other."""

import numpy as np
import pytest
import torch

from agents.candidates.hindsight import FAR, LEAST_STEP, MOST_GAIN, Hindsight
from agents.candidates.network import numbers
from agents.learning.algorithms import CANDIDATES_REWARD, make_model
from agents.learning.decision_buffer import DecisionBuffer
from agents.learning.sb3_vec_env import Sb3VecEnv
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator
from dnnmig_env.families.toy import OPTIMAL_DELAY_S
from tests.agents.played import mean_delay_s
from tests.candidate_play import one_channel

ROWS = 8


def env_of(family="toy", rows=ROWS, observation="candidates", autoreset_mode="SameStep"):
    generator = make_generator(family, **one_channel(family))
    return MigrationVectorEnv(
        rows, generator, observation=observation, autoreset_mode=autoreset_mode, **CANDIDATES_REWARD
    )


def model_of(family="toy", seed=0, rows=ROWS, **settings):
    settings = {"batch_size": 32, "buffer_size": 2000, **settings}
    return make_model("hindsight", Sb3VecEnv(env_of(family, rows)), seed, "cpu", settings)


def network_of(model):
    return model.policy.mlp_extractor.network


def forget(model):
    """Take away what the network knows before training."""
    network_of(model).prior.data.zero_()
    return model


def weights(model):
    return torch.cat([weight.detach().flatten() for weight in model.policy.parameters()])


def delay_of(model, family, rows=64):
    return mean_delay_s(model, env_of(family, rows, autoreset_mode="Disabled"), seed=12345)


class Rounds:
    """A callback that notes the rounds and ends the training after some decisions of one of them."""

    def __init__(self, most):
        self.most, self.steps = most, []

    def __call__(self, local, _):
        self.steps.append(local["self"].num_timesteps)
        return len(self.steps) < self.most


def test_a_model_read_back_acts_and_weighs_the_same_and_learns_on(tmp_path):
    model = model_of("single")
    model.learn(200)
    model.save(tmp_path / "model.zip")
    alone = Hindsight.load(tmp_path / "model.zip", device="cpu")
    again = Hindsight.load(tmp_path / "model.zip", env=Sb3VecEnv(env_of("single")), device="cpu")
    assert alone.num_timesteps == model.num_timesteps >= 200
    assert (again.logit_per_gain, again.candidates, again.batch_size) == (model.logit_per_gain, model.candidates, 32)
    env = env_of("single", autoreset_mode="Disabled")
    observation, _ = env.reset(seed=3)
    for _ in range(6):
        actions = model.predict(observation, deterministic=True)[0]
        for other in (alone, again):
            assert torch.equal(weights(other), weights(model))
            assert other.predict(observation, deterministic=True)[0].tolist() == actions.tolist()
        observation = env.step(actions)[0]
    before = again.num_timesteps
    again.learn(100, reset_num_timesteps=False)
    assert again.num_timesteps >= before + 100
    assert not torch.equal(weights(again), weights(model))


def test_the_same_seed_gives_the_same_weights_bit_for_bit_and_another_seed_others():
    found = []
    for seed in (1, 1, 2):
        model = model_of("single", seed)
        model.learn(150)
        assert model.rounds >= 2
        found.append(weights(model))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_rounds_play_scenarios_of_their_own():
    model, played = model_of("single"), []
    look_back = model._look_back

    def watch(arena, begun, taken, buffer):
        played.append([arena.scenario(row).horizon_s for row in range(ROWS)])
        return look_back(arena, begun, taken, buffer)

    model._look_back = watch
    model.learn(400)
    assert len(played) > 2
    assert len({horizon for row in played for horizon in row}) == len(played) * ROWS


def test_a_callback_that_says_so_ends_the_training():
    model, rounds = model_of(), Rounds(most=3)
    before = weights(model)
    assert model.learn(10_000, callback=rounds) is model
    assert len(rounds.steps) == 3
    assert model.num_timesteps == 3 * ROWS
    assert torch.equal(weights(model), before)  # the round was not over


def test_decisions_of_ended_episodes_are_not_counted():
    model = model_of("single", rows=4)
    model.learn(1)  # one round
    env = env_of("single", 4, autoreset_mode="Disabled")
    first = np.random.SeedSequence([0, 0]).generate_state(4)
    observation, _ = env.reset(seed=[int(seed) for seed in first])
    fresh, running, count = model_of("single", rows=4), np.ones(4, np.bool_), 0
    while running.any():
        count += int(running.sum())
        observation, _, ended, _, _ = env.step(fresh.predict(observation, deterministic=True)[0])
        running &= ~ended
    assert model.num_timesteps == count
    assert len(model.ep_info_buffer) == 4


def moments_of(values, buffer):
    """Add moments that are told apart by a number."""
    column = torch.as_tensor(values, dtype=torch.float32)[:, None]
    buffer.add(column.repeat(1, 2), column.long().repeat(1, 3), column.repeat(1, 3), column[:, 0].long())


def test_the_ring_keeps_the_newest_moments():
    buffer = DecisionBuffer(5, size=2, choices=3)
    moments_of([1, 2, 3], buffer)
    assert buffer.count == 3
    assert buffer.observation[:3, 0].tolist() == [1, 2, 3]
    moments_of([4, 5, 6, 7], buffer)
    assert buffer.count == 5
    for kept in (buffer.observation, buffer.action, buffer.gain, buffer.taken[:, None]):
        assert sorted(kept[:, 0].tolist()) == [3, 4, 5, 6, 7]
        assert (kept == kept[:, :1]).all()  # the parts of a moment stay together
        assert torch.equal(kept[:, 0].long(), buffer.action[:, 0])


def test_more_moments_at_once_than_there_is_room_for_leave_the_last():
    buffer = DecisionBuffer(4, size=2, choices=3)
    moments_of(range(10), buffer)
    assert sorted(buffer.observation[:, 0].tolist()) == [6, 7, 8, 9]
    moments_of([10], buffer)
    assert sorted(buffer.observation[:, 0].tolist()) == [7, 8, 9, 10]


def test_what_is_kept_of_a_moment_is_what_each_candidate_saves_against_the_one_that_was_taken():
    model = model_of("edge-cloud", candidates=6)
    observation, _ = env_of("edge-cloud", 2, autoreset_mode="Disabled").reset(seed=0)
    actions = numbers(torch.as_tensor(observation["observation"]), observation["action_mask"].shape[1])[:, :6] - 1
    assert (actions >= 0).all()
    taken = actions[:, 1].numpy()  # the second candidate was taken
    gains = np.array([[0.01, 0.5, -0.01, 0.9, -0.5, 0.0, 0.004], [0.0] * 7])
    buffer = DecisionBuffer(4, observation["observation"].shape[1], 7)
    model._add(observation, taken, gains, buffer)
    stop = observation["action_mask"].shape[1] - 1
    assert buffer.action[:2].tolist() == [[*row, stop] for row in actions.tolist()]
    assert buffer.taken[:2].tolist() == taken.tolist()
    # large gains are cut; the decision that was taken is compared with the others, not with itself
    kept = torch.tensor([0.01, torch.nan, -0.01, MOST_GAIN, -MOST_GAIN, 0.0, 0.004])
    torch.testing.assert_close(buffer.gain[0], kept, equal_nan=True)


def test_places_without_a_candidate_are_not_learned():
    model = model_of()  # the toy has fewer than 10 candidates
    observation, _ = env_of(rows=1, autoreset_mode="Disabled").reset(seed=0)
    actions = numbers(torch.as_tensor(observation["observation"]), observation["action_mask"].shape[1])[0, :10] - 1
    exists = actions >= 0
    assert 2 < exists.sum() < 10
    buffer = DecisionBuffer(4, observation["observation"].shape[1], 11)
    gains = np.where(np.append(exists.numpy(), True), 0.0, -np.inf)[None]
    model._add(observation, actions[:1].numpy(), gains, buffer)
    assert buffer.gain[0, :10][~exists].isnan().all()
    assert buffer.gain[0, 1:10][exists[1:]].tolist() == [0.0] * int(exists.sum() - 1)  # the first one was taken


def test_scores_come_to_differ_by_what_candidates_save_besides_the_greedy_order():
    model = model_of("edge-cloud", candidates=8, logit_per_gain=300.0, batch_size=8)
    env = env_of("edge-cloud", 2, autoreset_mode="Disabled")
    observation, _ = env.reset(seed=0)
    tensors = [torch.as_tensor(observation[name]) for name in ("observation", "action_mask")]
    candidates = numbers(tensors[0], tensors[1].shape[1])[:, :8] - 1
    assert (candidates >= 0).all()

    def scores():
        """Return those of the candidates, and of waiting, against the first, shape (2, 9)."""
        with torch.no_grad():
            found = network_of(model)(*tensors)[0]
        return (torch.cat([found.gather(1, candidates), found[:, -1:]], 1) - found.gather(1, candidates[:, :1])).numpy()

    before = scores()
    gains = np.zeros((2, 9))
    gains[:, 4] = 0.01  # the fifth would have saved 1 %
    gains[:, 2] = -0.01
    buffer = DecisionBuffer(2, tensors[0].shape[1], 9)
    model._add(observation, candidates[:, 0].numpy(), gains, buffer)
    learner = network_of(model)
    optimizer = torch.optim.Adam(learner.parameters(), lr=1e-2)
    model.tau, model.n_epochs = 1.0, 1200  # 300 steps
    model._logger = _Silent()
    model._train(learner, optimizer, buffer, looked_at=2)
    np.testing.assert_allclose(scores() - before, 300.0 * gains, atol=1.5)


class _Silent:
    """Stands for SB3's logger."""

    def record(self, *_):
        """Write nothing."""


@pytest.mark.parametrize(("family", "steps"), [("toy", 2_000), ("single", 4_000)])
def test_training_from_nothing_saves_delay(family, steps):
    model = forget(model_of(family, rows=16, learning_rate=3e-3, batch_size=128))
    before = delay_of(model, family)
    model.learn(steps)
    after = delay_of(model, family)
    assert after < before
    if family == "toy":
        assert after < 1.1 * OPTIMAL_DELAY_S < before


def test_training_an_agent_that_knows_the_reference_does_it_no_harm():
    model = model_of("single", rows=16, batch_size=128)
    before = delay_of(model, "single")
    model.learn(4_000)
    assert delay_of(model, "single") < 1.002 * before


def test_the_acting_policy_follows_slowly():
    fast, slow = model_of("single", tau=1.0), model_of("single", tau=0.001)
    begin = weights(fast)
    assert torch.equal(begin, weights(slow))
    fast.learn(1)
    slow.learn(1)
    assert 0 < (weights(slow) - begin).norm() < 0.1 * (weights(fast) - begin).norm()


def test_environments_without_candidates_are_refused():
    plain = Sb3VecEnv(env_of(observation="plain"))
    with pytest.raises(ValueError, match=r"observation is 'plain', .* with observation=\"candidates\", or"):
        make_model("hindsight", plain, 0, "cpu")


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("candidates", 25, "candidates is 25; look at 1 to 24"),
        ("candidates", 0, "setting 'candidates' of algorithm 'hindsight' is 0; give a whole number from 1"),
        ("share", 0.0, "setting 'share' of algorithm 'hindsight' is 0.0; give a number above 0 and at most 1"),
        ("share", 1.5, "setting 'share' of algorithm 'hindsight' is 1.5; give a number above 0 and at most 1"),
    ],
)
def test_settings_out_of_range_are_named(setting, value, text):
    with pytest.raises(ValueError, match=text):
        model_of(**{setting: value})


@pytest.mark.parametrize("settings", [{"candidates": 24, "share": 1.0}, {"candidates": 1, "share": 0.01}])
def test_the_ends_of_the_ranges_work(settings):
    model = model_of("single", **settings)
    model.learn(100)
    assert torch.isfinite(weights(model)).all()


def test_constants_are_those_with_which_the_published_agents_were_trained():
    assert (MOST_GAIN, FAR, LEAST_STEP) == (0.05, 3.0, 0.1)
