"""A teacher's decisions and what they earned are noted as they were, and a network learns to decide alike."""

import numpy as np
import pytest
import torch

from agents.learning import imitation
from agents.learning.algorithms import TRAINING_REWARD, make_model
from agents.learning.imitation import Demonstrations, _Pool, demonstrate, imitate
from agents.learning.muon_with_adam import MUON_BY_ADAM
from agents.learning.sb3_vec_env import Sb3VecEnv
from agents.policies.policy import resolve_policy
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator
from dnnmig_env.families.toy import OPTIMAL_DELAY_S
from tests.agents.played import mean_delay_s

TEACHER = "joint-efficiency"


def env_of(family="toy", rows=8, autoreset_mode="Disabled", **reward):
    return MigrationVectorEnv(
        rows, make_generator(family), autoreset_mode=autoreset_mode, **(reward or TRAINING_REWARD)
    )


def model_of(algorithm="ppo", family="toy", seed=0):
    """Return a model that has learned nothing."""
    env = Sb3VecEnv(env_of(family, 16, "SameStep"))
    settings = {"buffer_size": 100} if algorithm == "dqn" else {}
    return make_model(algorithm, env, seed, "cpu", settings)


def all_of(shown):
    """Return the demonstrations of all batches as one."""
    parts = list(shown)
    names = ("observation", "mask", "action", "value")
    return Demonstrations(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


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


@pytest.mark.parametrize("reward", ["delay", "shaped"])
@pytest.mark.parametrize("family", ["toy", "single"])
def test_values_are_what_the_environment_paid_from_there_on(family, reward):
    env, ended = env_of(family, 3, reward=reward), []
    shown = all_of(demonstrate(TEACHER, env, 6, seed=4, on_end=lambda: ended.append(1)))
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


@pytest.mark.parametrize("algorithm", ["ppo", "a2c", "maskable-ppo", "grpo", "self-labelling"])
def test_a_network_that_knows_nothing_learns_to_decide_as_its_teacher(algorithm, monkeypatch):
    monkeypatch.setattr(imitation, "BATCH_SIZE", 16)  # many steps for few episodes
    model, env = model_of(algorithm), env_of("toy", 4)
    assert agreement(model, env, "exact") < 0.6
    ended = []
    alike = imitate(model, "exact", env_of("toy", 32), 160, seed=0, on_end=lambda: ended.append(1))
    assert len(ended) == 160
    assert alike > 0.9
    assert agreement(model, env, "exact") > 0.9
    assert mean_delay_s(model, env, seed=1) == pytest.approx(OPTIMAL_DELAY_S)


def test_imitation_carries_over_to_scenarios_that_the_teacher_did_not_play(monkeypatch):
    monkeypatch.setattr(imitation, "BATCH_SIZE", 128)
    model, env = model_of(family="single"), env_of("single", 32)
    before = agreement(model, env)
    imitate(model, TEACHER, env_of("single", 64), 512, seed=0)
    assert agreement(model, env) > max(0.75, before + 0.2)


def test_values_are_learned_too(monkeypatch):
    monkeypatch.setattr(imitation, "BATCH_SIZE", 32)
    model, env = model_of(), env_of()
    imitate(model, "exact", env_of("toy", 64), 320, seed=0)
    observation, _ = env.reset(seed=0)
    tensors, _ = model.policy.obs_to_tensor(observation)
    value = model.policy.predict_values(tensors).detach().numpy()
    np.testing.assert_allclose(value, 1 - OPTIMAL_DELAY_S / 3.5, atol=0.1)  # (5 + 2) / 2 s without uploads


def test_every_decision_is_learned_from_as_often_as_promised(monkeypatch):
    sizes, real = [], imitation._learn
    monkeypatch.setattr(imitation, "_learn", lambda *given: sizes.append(len(given[2][0])) or real(*given))
    monkeypatch.setattr(imitation, "BATCH_SIZE", 32)
    imitate(model_of(), "exact", env_of("toy", 16), 40, seed=0)
    decisions = 48 * 4  # the toy has two users with two layers each, and forty episodes are three batches of sixteen
    assert imitation.EPOCHS * decisions <= sum(sizes) < imitation.EPOCHS * decisions + 32
    assert set(sizes) == {32}


def test_what_a_teacher_was_asked_is_learned_from_more_often(monkeypatch):
    shown, sizes = [], []
    real, learn = imitation.demonstrate, imitation._learn

    def noted(*given):
        for one in real(*given):
            shown.append(len(one.action))
            yield one

    monkeypatch.setattr(imitation, "demonstrate", noted)
    monkeypatch.setattr(imitation, "_learn", lambda *given: sizes.append(len(given[2][0])) or learn(*given))
    monkeypatch.setattr(imitation, "BATCH_SIZE", 16)
    imitate(model_of(), "joint-efficiency@replan", env_of("toy", 16), 32, seed=0)
    assert 0 <= sum(sizes) - imitation.ASKED_EPOCHS * sum(shown) < 16


def test_a_teacher_that_plans_anew_is_asked_what_it_would_do_where_the_learner_has_come(monkeypatch):
    monkeypatch.setattr(imitation, "LED", 0.5)
    teacher, stop = "joint-efficiency@replan", env_of("mobile", 1).stop_action
    first, second = demonstrate(teacher, env_of("mobile", 2), 4, 3, learner=lambda seen: np.full(2, stop))
    env = env_of("mobile", 2)
    alone, _ = demonstrate(teacher, env_of("mobile", 2), 4, 3)
    assert first.action.tolist() == alone.action.tolist()  # the teacher leads in half of the episodes
    seeds = [int(seed) for seed in np.random.SeedSequence(3).generate_state(4)]
    policy, states, to_go = resolve_policy(teacher, env, 3), {}, []
    observation, _ = env.reset(seed=seeds[2:])
    running = np.ones(2, np.bool_)
    while running.any():
        labels = policy.predict(observation)[0]
        following, paid, ended, _, _ = env.step(np.full(2, stop))
        for row in np.flatnonzero(running):
            states[observation["observation"][row].tobytes()] = labels[row], len(to_go), row
        to_go.append(paid * running)
        observation, running = following, running & ~ended
    for seen, mask, label, value in zip(second.observation, second.mask, second.action, second.value, strict=True):
        expected, moment, row = states[seen.tobytes()]
        assert label == expected
        assert mask[label]
        assert value == pytest.approx(sum(paid[row] for paid in to_go[moment:]), abs=1e-5)
    assert 0.15 < len(second.action) / len(states) < 0.55  # it is asked in a third of the moments
    assert (second.action != stop).mean() > 0.3


def test_a_teacher_with_a_plan_made_beforehand_plays_by_itself():
    def learner(_seen):
        raise AssertionError("such a teacher cannot tell what it would do in states of others")

    with_learner = all_of(demonstrate(TEACHER, env_of(), 32, 3, learner=learner))
    assert with_learner.action.tolist() == all_of(demonstrate(TEACHER, env_of(), 32, 3)).action.tolist()


def test_steps_of_imitation_become_smaller(monkeypatch):
    rates, real = [], imitation._learn

    def learn(network, optimizer, *others):
        rates.append(optimizer.param_groups[0]["lr"])
        return real(network, optimizer, *others)

    monkeypatch.setattr(imitation, "_learn", learn)
    imitate(model_of(), "exact", env_of("toy", 64), 256, seed=0)
    assert rates[0] == imitation.LEARNING_RATE
    assert min(rates) == pytest.approx(imitation.LEARNING_RATE / 4)
    assert rates == sorted(rates, reverse=True)


def test_pieces_make_the_same_step_as_the_whole_batch(monkeypatch):
    found = []
    for piece in (3, 1000):
        monkeypatch.setattr("agents.learning.pieces.CACHED_ROWS", piece)
        model, env = model_of(), env_of("toy", 16)
        (shown,) = demonstrate("exact", env, 16, seed=0)
        drawn = [torch.as_tensor(part) for part in (shown.observation, shown.mask, shown.action, shown.value)]
        network = model.policy.mlp_extractor.network
        imitation._learn(network, torch.optim.SGD(network.parameters(), lr=0.1), drawn, torch.device("cpu"), False)
        found.append(weights(model))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)


def of_numbers(first, count):
    """Return demonstrations by whose numbers they can be told apart."""
    numbers = np.arange(first, first + count)
    return Demonstrations(
        numbers[:, None].astype(np.float32), np.ones((count, 2), np.int8), numbers, numbers.astype(np.float32)
    )


def test_a_pool_holds_the_latest_decisions_and_draws_each_once(monkeypatch):
    monkeypatch.setattr(imitation, "POOL", 10)
    pool, rng = _Pool(), np.random.default_rng(0)
    pool.add(of_numbers(0, 4))
    assert sorted(pool.drawn(rng, 6)[2].tolist()) == [0, 1, 2, 3]
    pool.add(of_numbers(4, 8))
    observation, mask, action, value = pool.drawn(rng, 10)
    assert sorted(action.tolist()) == list(range(2, 12))
    assert observation[:, 0].tolist() == value.tolist() == action.tolist()
    assert mask.shape == (10, 2)
    assert len(set(pool.drawn(rng, 3)[2].tolist())) == 3


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    found = []
    for seed in (3, 3, 4):
        model = model_of()
        imitate(model, TEACHER, env_of("toy", 16), 256, seed)
        found.append(weights(model))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_a_random_teacher_plays_alike_for_the_same_seed():
    one, again, other = (all_of(demonstrate("random", env_of("single", 4), 8, seed)) for seed in (1, 1, 2))
    assert one.action.tolist() == again.action.tolist()
    assert one.value.tolist() == again.value.tolist()
    assert one.action.tolist() != other.action.tolist()


def test_values_of_actions_are_no_probabilities():
    with pytest.raises(ValueError, match="needs an algorithm with probabilities of actions, such as grpo; DQN has"):
        imitate(model_of("dqn"), TEACHER, env_of(), 8, seed=0)


def test_unknown_teachers_are_named():
    with pytest.raises(ValueError, match="unknown planner 'genius'"):
        imitate(model_of(), "genius", env_of(), 8, seed=0)


def test_episodes_are_rounded_up_to_whole_batches():
    ended = []
    batches = list(demonstrate("device-only", env_of("toy", 3), 4, seed=0, on_end=lambda: ended.append(1)))
    assert len(ended) == 6
    assert len(batches) == 2


@pytest.mark.parametrize(("family", "lanes"), [("toy", False), ("mobile", True)])
def test_the_learner_decides_as_the_agent_will(family, lanes, monkeypatch):
    asked, likeliest = [], imitation.likeliest

    def noted(scores, **known):
        asked.append(known)
        return likeliest(scores, **known)

    monkeypatch.setattr(imitation, "likeliest", noted)
    monkeypatch.setattr(imitation, "LED", 0.0)
    options = {"horizon_s": 60.0, "num_users": (1, 2), "max_layers": 3} if lanes else {}
    env = MigrationVectorEnv(2, make_generator(family, **options), autoreset_mode="Disabled", **TRAINING_REWARD)
    model = make_model(
        "grpo", Sb3VecEnv(MigrationVectorEnv(16, env.episodes.generator, autoreset_mode="SameStep")), 0, "cpu", {}
    )
    imitate(model, "joint-efficiency@replan", env, 2, seed=1)
    assert asked and all(known == {"lanes": lanes} for known in asked)


@pytest.mark.parametrize(("lanes", "action"), [(False, 2), (True, 0)])
def test_agreement_counts_what_the_agent_would_decide(lanes, action):
    class Torn(torch.nn.Module):
        """Finds "stop", the last action, likelier than each of two uploads, but not than both together."""

        def __init__(self):
            super().__init__()
            self.scores = torch.nn.Parameter(torch.tensor([0.35, 0.25, 0.4]).log())

        def forward(self, observation, mask):
            return self.scores.expand(len(observation), 3), observation[:, :1]

    network, drawn = Torn(), [torch.zeros(3, 2), torch.ones(3, 3), torch.tensor([0, 1, 2]), torch.zeros(3)]
    step = torch.optim.SGD(network.parameters(), lr=0.1), drawn, torch.device("cpu"), lanes
    assert imitation._learn(network, *step) == 1  # one of the three
    drawn[2][:] = action
    assert imitation._learn(network, *step) == 3


def test_a_step_changes_matrices_in_all_directions_alike(monkeypatch):
    monkeypatch.setattr(imitation, "BATCH_SIZE", 10**6)  # one step for all that is shown
    model = model_of()
    network = imitation.network_of(model)
    before = network.own.weight.detach().clone()
    imitate(model, TEACHER, env_of(), 8, seed=0)
    lengths = torch.linalg.svdvals(network.own.weight.detach() - before)
    # Muon's step is orthogonal times its step size, where gradients are not too small for its five iterations.
    assert lengths[0] == pytest.approx(imitation.LEARNING_RATE * MUON_BY_ADAM, rel=0.3)
    assert lengths[10] > 0.5 * lengths[0]
