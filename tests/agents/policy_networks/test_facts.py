"""The network reads observations as they are meant, and its weights know no sizes and no order of users."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from agents.policy_networks.facts import ILLEGAL, INITIAL_IDLE, ROUNDS, FactsNetwork, idleness
from agents.policy_networks.parts import LAYER, neighbours, split
from agents.policy_networks.whole import LAYER_SUMS, look_ahead
from dnnmig_env.envs.facts.lanes import TRANSFER_FEATURES
from dnnmig_env.envs.facts.layout import FactsLayout
from dnnmig_env.envs.facts.network import LAYER_FEATURES
from dnnmig_env.envs.features import names
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import scenarios
from dnnmig_env.families.toy import OPTIMAL_PLAN, toy_scenario
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.scenario_batch import as_batch


class Given:
    """A generator that draws the same scenario again and again, padded to some limits."""

    family, chunk = "given", 1

    def __init__(self, scenario, extra=0):
        needed = Limits.of([scenario])
        sizes = {name: size + extra for name, size in asdict(needed).items() if name != "lanes"}
        self.limits, self._scenario = Limits(**sizes, lanes=needed.lanes), scenario

    def draw(self, rng, count):
        return as_batch([self._scenario] * count, self.limits)


def env_of(scenario, extra=0, decisions="joint"):
    env = MigrationVectorEnv(1, Given(scenario, extra), decisions)
    return env, env.reset(seed=0)[0]


def network_of(env, seed=0, **sizes):
    torch.manual_seed(seed)
    network = FactsNetwork(env.episodes.layout, **sizes)
    for parameter in network.parameters():  # everything matters, nothing is zero as at the start of training
        torch.nn.init.normal_(parameter, std=0.3)
    return network


def scores_of(network, observation):
    with torch.no_grad():
        return network(torch.as_tensor(observation["observation"]), torch.as_tensor(observation["action_mask"]))


def outlook(observation, layout):
    return look_ahead(split(torch.as_tensor(observation["observation"]), layout), layout)


def test_an_efficiency_is_the_seconds_saved_per_second_of_upload():
    scenario = scenarios("multi-user", 1, seed=3)[0]
    _, observation = env_of(scenario)
    layout = FactsLayout(len(scenario.users), max(len(user.graph) for user in scenario.users), len(scenario.servers))
    ahead = outlook(observation, layout)
    found = torch.exp(ahead.layer_efficiency + ahead.pair_efficiency.transpose(-1, -2)).numpy()
    rates = np.array([user.query_rate_hz[0] for user in scenario.users])
    checked = 0
    for u, user in enumerate(scenario.users):
        device_s = scenario.execution_s[u][:, 0].sum()
        for s in range(len(scenario.servers)):
            speedup = device_s / scenario.execution_s[u][:, s + 1].sum()
            for v in np.flatnonzero(user.graph.weight_bytes):
                share = scenario.execution_s[u][v, 0] / device_s
                upload_s = user.graph.weight_bytes[v] / scenario.links.up_bytes_per_s[0, u, s]
                expected = share * device_s * (1 - 1 / speedup) * rates[u] / rates.sum() / upload_s
                if share > 2e-4 and 1 < speedup < 1000 and user.graph.weight_bytes[v] > 2e3:  # within all scales
                    assert found[u, v, s] == pytest.approx(expected, rel=2e-3)
                    checked += 1
    assert checked > 50


def test_neighbours_are_where_their_weights_have_been_sent():
    env, _ = env_of(toy_scenario())
    observation = env.step(np.array([env.encode(0, 1, 2)]))[0]  # `body` of user 0 to server 2
    before, after = neighbours(split(torch.as_tensor(observation["observation"]), env.episodes.layout).there)
    assert torch.nonzero(before[0]).tolist() == [[2, 1]]  # `tail` has it before, on server 2
    assert torch.nonzero(after[0]).tolist() == [[0, 1]]  # `head` has it after


def moving(seed=2, steps=12):
    """Return an environment of `mobile` in which weights have been sent, and what is observed there."""
    env, observation = env_of(scenarios("mobile", 1, seed=seed)[0])
    rng = np.random.default_rng(0)
    for _ in range(steps):
        legal = np.flatnonzero(observation["action_mask"][0])
        observation = env.step(rng.choice(legal[:-1] if len(legal) > 1 else legal, 1))[0]
    return env, observation


def test_where_there_are_lanes_weights_are_on_every_server_that_holds_or_awaits_them():
    env, observation = moving()
    state = env.episodes.state
    parts = split(torch.as_tensor(observation["observation"]), env.episodes.layout)
    there, held = parts.there.numpy(), state.held[0, parts.user.numpy()]
    np.testing.assert_array_equal(there > 0, held != 0)
    assert (held > 0).any()
    assert there.sum() > (there.sum(-1) > 0).sum() or state.on_the_way[0] > 0


@pytest.mark.parametrize("part", ["cells", "copies", "transfers", "rooms"])
def test_the_network_looks_at_what_is_told_of_lanes(part):
    env, observation = moving()
    layout, network = env.episodes.layout, network_of(env)
    other = {**observation, "observation": observation["observation"].copy()}
    values = other["observation"][:, layout.slices[part]]
    other["observation"][:, layout.slices[part]] = np.where(values == 0, 0.5, -values)
    scores, changed = scores_of(network, observation)[0], scores_of(network, other)[0]
    legal = observation["action_mask"][0] > 0
    assert (scores[0, legal] != changed[0, legal]).any()


@pytest.mark.parametrize(
    ("place", "feature"), [(0, "exists"), (0, "log_left"), (0, "waits"), (-1, "exists"), (-1, "log_left")]
)
def test_the_network_looks_at_transfers_by_radio_and_wire(place, feature):
    env, observation = moving()
    layout, network = env.episodes.layout, network_of(env)
    other = {**observation, "observation": observation["observation"].copy()}
    transfers = other["observation"][:, layout.slices["transfers"]].reshape(layout.shapes["transfers"])
    transfers[place, names(TRANSFER_FEATURES).index(feature)] += 0.5
    other["observation"][:, layout.slices["transfers"]] = transfers.ravel()
    legal = observation["action_mask"][0] > 0
    assert (scores_of(network, observation)[0][0, legal] != scores_of(network, other)[0][0, legal]).any()


def test_layers_hear_of_each_other_as_far_as_messages_go():
    env, _ = env_of(scenarios("multi-user", 1, seed=3)[0])
    network = network_of(env)
    layers, sums = torch.rand(1, 12, len(LAYER_FEATURES)) + 0.1, torch.rand(1, 12, LAYER_SUMS)
    other = layers.clone()
    other[0, 5, LAYER.log_output] += 1.0
    with torch.no_grad():
        apart = (network._embed_layers(other, sums) - network._embed_layers(layers, sums)).abs().amax(-1)
    assert torch.nonzero(apart[0]).ravel().tolist() == list(range(5 - ROUNDS, 5 + ROUNDS + 1))


@pytest.mark.parametrize("decisions", ["joint", "two-phase"])
@pytest.mark.parametrize("family", ["multi-user", "mobile"])
def test_padding_changes_no_score(family, decisions):
    scenario = scenarios(family, 2, seed=5)[1]
    (small, seen), (large, seen_large) = env_of(scenario, 0, decisions), env_of(scenario, 3, decisions)
    network = network_of(small)
    wide = FactsNetwork(large.episodes.layout)
    wide.load_state_dict(network.state_dict())
    rng, compared = np.random.default_rng(0), 0
    for _ in range(12):
        (scores, value), (wide_scores, wide_value) = scores_of(network, seen), scores_of(wide, seen_large)
        torch.testing.assert_close(value, wide_value, rtol=1e-4, atol=1e-4)
        legal = np.flatnonzero(small.action_masks()[0])
        same = [large.encode(*small.episodes.actions.decode(a)) for a in legal[:-1]] + [large.stop_action]
        assert same == np.flatnonzero(large.action_masks()[0]).tolist()
        torch.testing.assert_close(scores[0, legal], wide_scores[0, same], rtol=1e-4, atol=1e-3)
        compared += len(legal)
        k = rng.integers(max(len(legal) - 1, 1))
        seen, _, ended, _, _ = small.step(legal[[k]])
        seen_large = large.step(np.array(same)[[k]])[0]
        if ended[0]:
            break
    assert compared > 20


def test_users_may_change_places():
    env, observation = env_of(scenarios("multi-user", 1, seed=2)[0])
    layout, network = env.episodes.layout, network_of(env)
    order = np.random.default_rng(0).permutation(layout.users)
    vector, mask = observation["observation"].copy(), observation["action_mask"].copy()
    for name in ("users", "links", "layers", "executions"):
        part = layout.slices[name]
        vector[0, part] = vector[0, part].reshape(layout.shapes[name])[order].ravel()
    mask[0, :-1] = mask[0, :-1].reshape(layout.users, -1)[order].ravel()
    scores, value = scores_of(network, observation)
    other, other_value = scores_of(network, {"observation": vector, "action_mask": mask})
    torch.testing.assert_close(value, other_value, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        scores[0, :-1].reshape(layout.users, -1)[order].ravel(), other[0, :-1], rtol=1e-4, atol=1e-3
    )
    assert scores[0, observation["action_mask"][0] > 0].unique().numel() > 20


def test_illegal_actions_have_no_probability_and_an_empty_mask_stops():
    env, observation = env_of(toy_scenario())
    network = network_of(env)
    scores, _ = scores_of(network, observation)
    legal = observation["action_mask"][0] > 0
    assert (scores[0, ~legal] == ILLEGAL).all()
    assert torch.softmax(scores, -1)[0, ~legal].sum() == 0
    empty = {**observation, "action_mask": np.zeros_like(observation["action_mask"])}
    assert torch.softmax(scores_of(network, empty)[0], -1)[0, env.stop_action] == 1


def test_a_mask_that_leaves_the_optimum_alone_leads_an_untrained_network_to_it():
    env, observation = env_of(toy_scenario())
    network = FactsNetwork(env.episodes.layout)
    chosen = []
    for upload in OPTIMAL_PLAN.uploads:
        best = env.encode(upload.user, upload.layers[0], upload.server)
        mask = np.zeros_like(observation["action_mask"])
        mask[0, best] = 1
        chosen.append(int(scores_of(network, {**observation, "action_mask": mask})[0].argmax()))
        observation = env.step(np.array(chosen[-1:]))[0]
    taken, best_plan = (
        [(up.user, up.layers, up.server) for up in plan.uploads] for plan in (env.plan(0), OPTIMAL_PLAN)
    )
    assert taken == best_plan


def test_gradients_reach_every_weight():
    env, observation = env_of(scenarios("multi-user", 1, seed=2)[0])
    for _ in range(10):
        legal = np.flatnonzero(env.action_masks()[0])
        observation = env.step(legal[:1])[0]  # so that neighbours are on servers
    network = network_of(env)
    scores, value = network(torch.as_tensor(observation["observation"]), torch.as_tensor(observation["action_mask"]))
    second = np.flatnonzero(env.action_masks()[0])[1]
    (torch.log_softmax(scores, -1)[0, second] + scores[0, -1] + value.sum()).backward()
    idle = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert idle == []


def untrained(decisions):
    env, observation = env_of(scenarios("multi-user", 1, seed=2)[0], decisions=decisions)
    torch.manual_seed(0)
    network = FactsNetwork(env.episodes.layout)
    return network, observation, scores_of(network, observation)[0][0].numpy()


@pytest.mark.parametrize(("decisions", "below"), [("joint", -7.0), ("two-phase", -2.0)])
def test_before_training_stop_is_that_much_less_likely_than_the_best_upload(decisions, below):
    # A first decision in two phases places a layer, and "stop" leaves it on the device.
    _, _, scores = untrained(decisions)
    assert scores[-1] - scores[:-1].max() == pytest.approx(below, abs=0.3)


def by_efficiency(network, observation, scores):
    """Return by how much the score of an upload grows with the logarithm of its efficiency."""
    ahead, layout = outlook(observation, network.layout), network.layout
    efficiency = np.zeros((layout.users, layout.layers, layout.servers))
    parts = split(torch.as_tensor(observation["observation"]), layout)
    efficiency[parts.user] = (ahead.layer_efficiency + ahead.pair_efficiency.transpose(-1, -2)).numpy()
    legal = np.flatnonzero(observation["action_mask"][0, :-1])
    return np.polyfit(efficiency.ravel()[legal], scores[legal], 1)[0]


def test_before_training_uploads_are_about_equally_likely():
    network, observation, scores = untrained("joint")
    legal = np.flatnonzero(observation["action_mask"][0, :-1])
    assert np.ptp(scores[legal]) < 0.5
    assert abs(by_efficiency(network, observation, scores)) < 0.1


def test_the_order_of_efficiency_can_be_learned_by_one_weight():
    network, observation, scores = untrained("joint")
    before = by_efficiency(network, observation, scores)
    with torch.no_grad():
        network.query.bias[network.width] += 4.0
    after = by_efficiency(network, observation, scores_of(network, observation)[0][0].numpy())
    assert after - before == pytest.approx(4.0, abs=1e-3)


def test_an_illegal_stop_is_never_chosen_while_an_upload_is_legal():
    network, observation, _ = untrained("joint")
    mask = observation["action_mask"].copy()
    mask[0, -1] = 0
    scores = scores_of(network, {**observation, "action_mask": mask})[0][0]
    assert float(scores[-1]) == pytest.approx(0.5 * ILLEGAL)
    assert ROUNDS == 2  # as measured, see the table in the module


def test_before_training_uploads_that_speed_up_no_query_now_wait():
    env, observation = env_of(scenarios("mobile", 1, seed=2)[0])
    torch.manual_seed(0)
    network, moments = FactsNetwork(env.episodes.layout), [0, 0]
    for _ in range(60):
        parts = split(torch.as_tensor(observation["observation"]), env.episodes.layout)
        idle = np.ones((env.episodes.layout.users, env.episodes.layout.layers, env.episodes.layout.servers))
        idle[parts.user.numpy()] = idleness(parts).numpy()
        legal, idle = observation["action_mask"][0, :-1] > 0, idle.ravel() > 0
        scores = scores_of(network, observation)[0][0].numpy()
        with torch.no_grad():
            network.idle.fill_(0.0)
        without = scores_of(network, observation)[0][0].numpy()
        with torch.no_grad():
            network.idle.fill_(INITIAL_IDLE)
        np.testing.assert_allclose((scores - without)[:-1][legal & idle], INITIAL_IDLE, atol=1e-3)
        np.testing.assert_allclose((scores - without)[:-1][legal & ~idle], 0.0, atol=1e-3)
        if legal.any():
            is_useful = bool((legal & ~idle).any())
            moments[is_useful] += 1
            # "Stop" is 7 below the best upload (`INITIAL_STOP`); if all are idle, below what that would be otherwise.
            best = scores[:-1][legal].max() if is_useful else without[:-1][legal].max()
            assert scores[-1] - best == pytest.approx(-7.0, abs=0.3)
        observation, _, ended, _, _ = env.step(scores.argmax(keepdims=True))
        if ended[0]:
            break
    assert min(moments) > 3


def test_the_summary_knows_the_greatest_of_each_part_of_an_embedding():
    env, observation = env_of(scenarios("multi-user", 1, seed=2)[0])
    network, context = network_of(env), 64
    with torch.no_grad():
        network.summary.weight[:, : 4 + context] = 0.0  # time and means
        network.summary.bias.fill_(0.1)
    other = {**observation, "observation": observation["observation"].copy()}
    other["observation"][:, env.episodes.layout.slices["links"]] *= 0.5
    assert float(scores_of(network, observation)[1]) != pytest.approx(float(scores_of(network, other)[1]), rel=1e-3)
