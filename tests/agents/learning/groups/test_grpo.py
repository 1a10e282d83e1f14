"""GRPO: groups share a scenario, advantages are against the group, and the objective is PPO's."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.learning.algorithms import TRAINING_REWARD, make_model
from agents.learning.groups.advantages import BINS, LEAST_SPREAD, costs_to_go, group_advantages
from agents.learning.groups.moments import SURE, Moments, Round
from agents.learning.groups.rollouts import LEAST_STEP
from agents.learning.sb3_vec_env import Sb3VecEnv
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator


def model_of(family="single", rows=8, decisions="joint", **settings):
    env = MigrationVectorEnv(rows, make_generator(family), decisions, autoreset_mode="SameStep", **TRAINING_REWARD)
    return make_model("grpo", Sb3VecEnv(env), 0, "cpu", {"group_size": 4, "batch_size": 64, **settings})


class Silent:
    """A callback that lets everything go on."""

    def on_step(self):
        return True


def played(model):
    """Play a round; return the environments in which it was played, its moments and the advantages of the rows."""
    model._setup_learn(1, None)
    arena = model._arena()
    return arena, *model._play(arena, Silent())


def test_advantages_by_hand():
    found = group_advantages(np.array([1.0, 3.0, 5.0, 5.0])[:, None, None], 2)
    step = 1 / (1 + LEAST_SPREAD)
    assert found[..., 0].ravel().tolist() == pytest.approx([step, -step, 0.0, 0.0])
    assert found[..., 1].ravel().tolist() == pytest.approx([step, -step, 0.0, 0.0])  # of "stop"


def test_advantages_in_parts_are_in_standard_deviations_of_all_parts():
    costs = np.array([[1.0, 5.0], [3.0, 5.0]])  # variances within the group: 1 and 0
    found = group_advantages(costs[..., None], 2)
    step = 1.0 / (np.sqrt(0.5) + LEAST_SPREAD)
    np.testing.assert_allclose(found[..., 0], [[step, 0.0], [-step, 0.0]])


def test_costs_of_other_users_count_as_much_as_they_are_said_to():
    costs = np.array([[[1.0, 5.0, 0.0]], [[3.0, 1.0, 0.0]]])  # the third user never comes
    less = np.array([[1.0, -2.0], [-1.0, 2.0]])  # than the mean of the group
    for others in (0.0, 0.25, 1.0):
        of_users = less + others * less[:, ::-1]
        spread = np.sqrt((of_users**2).mean())
        stop = of_users.mean(axis=1)  # is about both
        step = spread + LEAST_SPREAD * (0.5 + others * 0.5)
        found = group_advantages(costs, 2, others)
        np.testing.assert_allclose(found[:, 0, :2], of_users / step, rtol=1e-12)
        np.testing.assert_allclose(found[:, 0, 3], stop / step, rtol=1e-12)
    alike = group_advantages(costs, 2)
    np.testing.assert_allclose(alike[..., :1].repeat(4, axis=2), alike)  # all costs count alike: one advantage for all
    np.testing.assert_allclose(alike[..., 0], group_advantages(costs.sum(axis=2, keepdims=True), 2)[..., 0])


def test_costs_to_go_by_hand():
    costs = np.array([[1.0, 0.0, 2.0], [4.0, 4.0, 4.0]])
    found = costs_to_go(np.stack([costs, 2.0 * costs], axis=2), np.array([0.5, 0.25]))
    np.testing.assert_allclose(found[0, :, 0], 12.0 / 7.0 * np.array([1.0 + 0.25 * 2.0, 0.5 * 2.0, 2.0]))
    np.testing.assert_allclose(found[1, :, 0], 4.0 * 3.0 / 1.3125 * np.array([1.3125, 1.25, 1.0]))
    np.testing.assert_allclose(found[..., 1], 2.0 * found[..., 0])


@pytest.mark.parametrize("keep", [0.1, 0.9, 1.0])
def test_equal_costs_from_the_first_part_on_are_those_of_the_episode(keep):
    assert costs_to_go(np.ones((1, 8, 1)), np.array([keep]))[0, 0, 0] == pytest.approx(8.0)


def test_a_long_memory_forgets_nothing():
    costs = np.random.default_rng(0).random((3, 8, 2))
    found = costs_to_go(costs, np.exp(-np.full(3, 1e-20)))
    np.testing.assert_allclose(found, costs[:, ::-1].cumsum(axis=1)[:, ::-1], rtol=1e-12)


def test_all_rollouts_of_a_group_have_the_same_scenario_and_groups_others():
    arena, _, _ = played(model_of(rows=12))
    rates = arena.episodes.packed.up_bytes_per_s.reshape(3, 4, -1)
    assert (rates == rates[:, :1]).all()
    assert len({tuple(rates[group, 0]) for group in range(3)}) == 3


def test_rows_are_judged_by_what_their_plans_cost():
    model = model_of("edge-cloud")
    arena, moments, advantages = played(model)
    delays_s = arena.episodes.state.cost_s / arena.episodes.state.expected_queries
    costs = delays_s / arena.episodes.outputs.device_only_s
    assert len(set(costs)) > 4  # decisions are drawn, so that rollouts differ
    assert not moments.part.any()
    expected = group_advantages(costs[:, None, None], 4)[..., :1]
    np.testing.assert_allclose(advantages, expected.repeat(advantages.shape[2], axis=2), rtol=1e-5, atol=1e-7)
    plans = arena.episodes.uploads
    for row in range(8):
        taken = [int(action) for action in moments.action[moments.row == row] if action != arena.stop_action]
        planned = [
            arena.encode(int(plans.user[row, k]), int(plans.layer[row, k]), int(plans.server[row, k]))
            for k in range(plans.length[row])
        ]
        assert len(taken) > len(planned) / 2
        assert taken == [action for action in planned if action in taken]  # those that were certain are left out


@pytest.mark.parametrize("others", [1.0, 0.25])
def test_with_a_memory_decisions_are_judged_by_what_follows_them(others):
    model = model_of("mobile", memory_s=20.0, others_weight=others)
    model._setup_learn(1, None)
    arena = model._arena()
    step, state = arena.step, arena.episodes.state
    costs = np.zeros((8, BINS, state.delay_s.shape[1]))

    def watched(actions):
        """Add up costs by parts of time, apart from the code under test."""
        times, before = state.time_s.copy(), state.user_cost_s.copy()
        result = step(actions)
        for row in range(8):
            horizon_s = arena.episodes.packed.slot_edges_s[row].max()
            part = min(int(times[row] / horizon_s * BINS), BINS - 1)
            costs[row, part] += (state.user_cost_s - before)[row]
        return result

    arena.step = watched
    moments, advantages = model._play(arena, Silent())
    np.testing.assert_allclose(costs.sum(axis=(1, 2)), state.cost_s, rtol=1e-9)
    shares = costs / (state.expected_queries * arena.episodes.outputs.device_only_s)[:, None, None]
    horizons_s = arena.episodes.packed.slot_edges_s.max(axis=1)
    expected = group_advantages(costs_to_go(shares, np.exp(-horizons_s / BINS / 20.0)), 4, others)
    np.testing.assert_allclose(advantages, expected, rtol=1e-3, atol=1e-4)
    stops = moments.action == arena.stop_action
    assert (moments.about[stops] == costs.shape[2]).all()
    users = [arena.episodes.actions.decode(int(action))[0] for action in moments.action[~stops]]
    assert moments.about[~stops].tolist() == users
    assert len(set(users)) > 1
    assert len(moments.part.unique()) > 5
    last = {int(row): int(part) for row, part in zip(moments.row, moments.part, strict=True)}
    assert all(part > BINS // 4 for part in last.values())


def test_moments_hold_what_was_seen_and_how_likely_the_decision_was():
    model = model_of("edge-cloud")
    _, moments, _ = played(model)
    assert 0.9 * model.num_timesteps < len(moments.action) <= model.num_timesteps  # a few were certain
    assert (moments.mask.gather(1, moments.action[:, None]) == 1).all()
    with torch.no_grad():
        scores, _ = model.policy.mlp_extractor.network(moments.observation, moments.mask)
    likely = torch.log_softmax(scores, 1).gather(1, moments.action[:, None]).squeeze(1)
    torch.testing.assert_close(moments.log_prob, likely, rtol=1e-4, atol=1e-4)


def test_decisions_that_were_almost_certain_are_left_out():
    probabilities = torch.tensor([0.5, 0.98, SURE + 1e-4, 1.0, 1e-3])
    moments = Moments(
        torch.arange(5),
        torch.rand(5, 2),
        torch.ones(5, 3),
        torch.arange(5),
        probabilities.log(),
        torch.zeros(5),
        torch.zeros(5),
    )
    kept = moments.in_doubt()
    assert kept.row.tolist() == kept.action.tolist() == [0, 1, 4]
    torch.testing.assert_close(kept.observation, moments.observation[[0, 1, 4]])


def numbered(first: int, count: int) -> Moments:
    """Return moments in doubt whose rows are numbered, each of 52 bytes."""
    rows, zeros = torch.arange(first, first + count), torch.zeros(count, dtype=torch.int64)
    return Moments(rows, torch.rand(count, 2), torch.ones(count, 8, dtype=torch.int8), zeros, rows * -1.0, zeros, zeros)


def test_a_round_that_fits_is_kept_whole():
    collected, parts = Round(52 * 2000), [numbered(1, 1000), numbered(1001, 1000)]
    state = torch.get_rng_state()
    for part in parts:
        collected.add(part)
    assert collected.moments().row.tolist() == list(range(1, 2001))
    assert (collected.share, collected.moments().bytes) == (1.0, 52 * 2000)
    assert (torch.get_rng_state() == state).all()  # nothing is drawn, so that what comes afterwards is the same


def test_of_a_round_that_takes_too_much_memory_a_random_part_is_kept():
    torch.manual_seed(0)
    collected = Round(52 * 4050)
    for first in range(1, 30001, 100):
        collected.add(numbered(first, 100))
        assert collected.moments().bytes <= 52 * 4050
    found = collected.moments()
    assert collected.share == 1 / 8
    assert len(found.row) == pytest.approx(30000 / 8, rel=0.1)
    for begin in range(0, 30000, 10000):  # early moments have the same chance as late ones
        assert ((found.row > begin) & (found.row <= begin + 10000)).sum() == pytest.approx(10000 / 8, rel=0.15)
    of_part = np.bincount((found.row.numpy() - 1) // 100, minlength=300)
    assert 0 < of_part.mean() < of_part.max() < 40  # of 100 decisions of a step, some are kept and some are not
    assert (found.log_prob == found.row * -1.0).all()  # all that belongs to a moment stays together
    assert (found.row.diff() > 0).all() and found.row[0] > 0  # each is there once, in the order in which it came


def test_memory_that_does_not_hold_two_decisions_is_refused():
    Round(104.0).add(numbered(1, 1))
    with pytest.raises(ValueError, match=r"most_gigabytes is 1.03e-07, but a decision takes 52 .* least 1e-07"):
        Round(103.0).add(numbered(1, 1))


def test_training_keeps_to_the_memory_that_it_is_given():
    whole, little = model_of("edge-cloud"), model_of("edge-cloud", most_gigabytes=3e-5)
    (_, all_moments, _), (_, moments, advantages) = played(whole), played(little)
    assert all_moments.bytes > 3e4 >= moments.bytes > 0
    little._train(moments, advantages)
    assert little.logger.name_to_value["rollout/share_kept"] < 1.0 == whole.logger.name_to_value["rollout/share_kept"]


def test_where_nothing_is_in_doubt_nothing_is_learned():
    model = model_of()
    network = model.policy.mlp_extractor.network
    with torch.no_grad():
        network.stop.bias.fill_(100.0)  # "stop" is certain
    _, moments, advantages = played(model)
    assert model.num_timesteps >= 8
    assert len(moments.action) == 0
    before = [weight.clone() for weight in model.policy.parameters()]
    model._train(moments, advantages)
    assert all((old == new).all() for old, new in zip(before, model.policy.parameters(), strict=True))


def test_the_objective_is_clipped_where_the_decision_has_moved_too_far():
    model = model_of(ent_coef=0.5, clip_range=0.2)
    _, moments, _ = played(model)
    at = torch.arange(4)
    given = {"observation": moments.observation[at], "action_mask": moments.mask[at]}
    choices = torch.distributions.Categorical(logits=model.policy.mlp_extractor(given)[0].detach())
    now = choices.log_prob(moments.action[at])
    ratio = torch.tensor([1.5, 1.5, 0.5, 0.5])  # probabilities now by those when the decisions were drawn
    before = replace(moments, log_prob=moments.log_prob.clone())
    before.log_prob[at] = now - ratio.log()
    objective, outside, entropy = model._objective(before, at, torch.tensor([2.0, -2.0, 2.0, -2.0]))
    expected = torch.tensor([1.2 * 2, 1.5 * -2, 0.5 * 2, 0.8 * -2]) + 0.5 * choices.entropy()
    torch.testing.assert_close(objective.detach(), expected, rtol=1e-4, atol=1e-4)
    assert int(outside) == 4
    assert float(entropy) == pytest.approx(float(choices.entropy().sum()), rel=1e-4)


def test_a_gradient_step_makes_good_decisions_likelier():
    model = model_of("edge-cloud", learning_rate=1e-3, batch_size=4096)
    _, moments, advantages = played(model)
    model._train(moments, advantages)
    given = {"observation": moments.observation, "action_mask": moments.mask}
    scores = model.policy.mlp_extractor(given)[0].detach()
    moved = torch.log_softmax(scores, 1).gather(1, moments.action[:, None]).squeeze(1) - moments.log_prob
    of_moment = advantages[moments.row, moments.part, moments.about]
    assert float((moved * (of_moment - of_moment.mean())).sum()) > 0


def test_pieces_make_the_same_step_as_the_whole_batch(monkeypatch):
    found = []
    for piece in (3, 1000):
        model = model_of()
        _, moments, advantages = played(model)
        monkeypatch.setattr("agents.learning.pieces.CACHED_ROWS", piece)
        # Its steps are as long as gradients are; those of other optimisers hide a wrong factor.
        model.policy.optimizer = torch.optim.SGD(model.policy.parameters(), lr=0.1)
        torch.manual_seed(0)
        model._train(moments, advantages)
        found.append(torch.cat([weights.detach().flatten() for weights in model.policy.parameters()]))
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-5)


def test_the_charts_tell_means_over_decisions_however_these_are_divided_into_batches():
    told = []
    for share in (1, 2):
        model = model_of(learning_rate=1e-12)
        _, moments, advantages = played(model)
        even = moments._where(torch.arange(len(moments.row) // 2 * 2))
        model.batch_size = len(even.row) // share
        model._train(even, advantages)
        told.append(
            {name: model.logger.name_to_value[f"train/{name}"] for name in ("loss", "clip_fraction", "entropy")}
        )
    given = {"observation": even.observation, "action_mask": even.mask}
    choices = torch.distributions.Categorical(logits=model.policy.mlp_extractor(given)[0].detach())
    entropy = float(choices.entropy().mean())
    for values in told:  # no decision has moved, and the advantages' mean is 0
        assert values == pytest.approx({"loss": -0.01 * entropy, "clip_fraction": 0.0, "entropy": entropy}, abs=1e-5)


def test_every_decision_of_a_round_is_learned_from_in_each_epoch(monkeypatch):
    model = model_of(n_epochs=2)
    _, moments, advantages = played(model)
    seen, real = [], model._objective
    monkeypatch.setattr(model, "_objective", lambda *given: seen.extend(given[1].tolist()) or real(*given))
    model._train(moments, advantages)
    assert sorted(seen) == sorted([*range(len(moments.action))] * 2)


def test_the_step_size_falls_to_a_tenth_with_the_decisions_that_are_left(monkeypatch):
    model, found, total = model_of("toy", learning_rate=0.01), [], 200
    monkeypatch.setattr(
        model,
        "_train",
        lambda *_: found.append((model.num_timesteps, model.policy.optimizer.param_groups[0]["lr"])),
    )
    model.learn(total)
    assert model.rounds == len(found) > 4
    for taken, rate in found:
        assert rate == pytest.approx(0.01 * max(1.0 - taken / total, LEAST_STEP))


def test_environments_that_are_never_stepped_begin_no_episodes():
    model = model_of()
    model.learn(1)
    assert model.num_timesteps >= 8
    assert not model.env.env.episodes.begun.any()
    assert len(model.env.reset()["observation"]) == 8
    assert model.env.env.episodes.begun.all()


def test_decisions_in_two_phases_are_learned_from_too():
    model = model_of("toy", decisions="two-phase")
    _, moments, advantages = played(model)
    model._train(moments, advantages)
    assert all(bool(torch.isfinite(weights).all()) for weights in model.policy.parameters())


def test_rounds_differ_and_a_seed_gives_the_same_ones():
    rates = []
    for _ in range(2):
        model = model_of()
        model._setup_learn(1, None)
        arena = model._arena()
        for _ in range(2):
            model._play(arena, Silent())
            rates.append(tuple(arena.episodes.packed.up_bytes_per_s.ravel()))
    assert rates[0] == rates[2] and rates[1] == rates[3]
    assert rates[0] != rates[1]


@pytest.mark.parametrize(
    ("settings", "rows", "text"),
    [
        ({"group_size": 3}, 8, "num_envs is 8 and group_size 3, but every scenario is played group_size times; give a"),
        ({"most_gigabytes": 0.0}, 8, "setting 'most_gigabytes' of algorithm 'grpo' is 0.0; give a number above 0"),
        ({"others_weight": 1.5}, 8, "setting 'others_weight' of algorithm 'grpo' is 1.5; give a number from 0 to 1"),
        ({"group_size": 1}, 8, "setting 'group_size' of algorithm 'grpo' is 1; give a whole number from 2 to"),
    ],
)
def test_what_makes_no_groups_is_named(settings, rows, text):
    with pytest.raises(ValueError, match=text):
        model_of(rows=rows, **settings)
