"""Sums over whole networks are those of the scenario, by formulas worked out from it anew."""

import math

import numpy as np
import pytest
import torch

from agents.policy_networks.parts import LINK, SERVER, split
from agents.policy_networks.parts import ROOM as ROOM_THERE
from agents.policy_networks.whole import BY_WIRE, GEOMETRY, LAYER_SUMS, PAIR_SUMS, geometry, look_ahead, where_users_are
from dnnmig_env.envs.facts.layout import FactsLayout
from dnnmig_env.envs.facts.network import input_bytes
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator, scenarios

(THERE, WORSE, SAVED, UPLOAD, ROOM, FITS, EFFICIENCY, LESS, COMPUTING, SENDING, MISSING) = range(11)
RUNS, USED, HELD = -3, -2, -1
BY_WIRE_FIRST = MISSING + 1  # where weights move
TINY = 4e-3  # tensors below 3 kB are observed as nothing
RATIO, SHARES, LEFT_UP_TO, LEFT, READ, WRITTEN, ANYWHERE = range(7)


def observed(family, seed, steps=0):
    """Return an environment after some uploads, its packed scenario, the parts observed, and what follows from them."""
    env = MigrationVectorEnv(1, make_generator(family), "joint")
    observation, _ = env.reset(seed=0, options={"scenarios": scenarios(family, 1, seed=seed)})
    rng = np.random.default_rng(0)
    for _ in range(steps):
        legal = np.flatnonzero(observation["action_mask"][0])
        observation = env.step(rng.choice(legal[:-1] if len(legal) > 1 else legal, 1))[0]
    parts = split(torch.as_tensor(observation["observation"]), env.episodes.layout)
    return env, env.episodes.packed, parts, look_ahead(parts, env.episodes.layout)


def of_query(packed, u, s):
    """Return seconds on the device alone, and of computing, sending and receiving with everything on server `s`."""
    count = packed.num_layers[0, u]
    returned = packed.tensor_bytes[0, u, :count][packed.is_output[0, u, :count] > 0].sum()
    return (
        packed.execution_s[0, u, :count, 0].sum(),
        packed.execution_s[0, u, :count, s + 1].sum(),
        input_bytes(packed, 0, u, 0) / packed.up_bytes_per_s[0, 0, u, s],
        returned / packed.down_bytes_per_s[0, 0, u, s],
    )


def test_sizes_are_those_declared():
    for family, more in (("multi-user", 0), ("mobile", BY_WIRE)):
        env, _, parts, ahead = observed(family, 3)
        users, layout = len(parts.row), env.episodes.layout
        assert ahead.layers.shape == (users, layout.layers, LAYER_SUMS)
        assert ahead.pairs.shape == (users, layout.servers, PAIR_SUMS + more)
        assert ahead.seconds.shape == (users, layout.layers, layout.servers)
        assert torch.isfinite(ahead.pairs).all() and torch.isfinite(ahead.layers).all()


@pytest.mark.parametrize("seed", [1, 2, 3, 5])
def test_a_query_of_the_whole_network_on_a_server_takes_that_long(seed):
    _, packed, parts, ahead = observed("edge-cloud", seed)
    found, checked = ahead.pairs.numpy(), 0
    for n, u in enumerate(parts.user.tolist()):
        delays = []
        for s in range(packed.num_servers[0]):
            device_s, computing_s, sending_s, receiving_s = of_query(packed, u, s)
            latency = float(parts.links[n, s, 2])
            expected = (computing_s + sending_s + receiving_s) / device_s + latency
            delays.append(min(expected, 3.0))
            if max(sending_s, receiving_s) < 3.0 * device_s and latency < 1.0:
                assert found[n, s, THERE] == pytest.approx(min(expected, 3.0), rel=0.01)
                assert found[n, s, SENDING] == pytest.approx(sending_s / device_s, rel=5e-3, abs=TINY)
                assert found[n, s, COMPUTING] == pytest.approx(min(computing_s / device_s, 2.0), rel=5e-3)
                assert found[n, s, SAVED] == pytest.approx(1.0 - min(expected, 3.0), abs=5e-3)
                assert found[n, s, WORSE] == pytest.approx(found[n, s, THERE] - found[n, :, THERE].min(), abs=1e-5)
                checked += 1
        assert np.argmin(found[n, : len(delays), THERE]) == np.argmin(delays)
    assert checked > 0


def test_what_is_missing_is_compared_with_time_and_memory():
    env, packed, parts, ahead = observed("multi-user", 3, steps=9)
    state, found = env.episodes.state, ahead.pairs.numpy()
    sent = np.zeros(packed.weight_bytes.shape[1:])
    for up in env.plan(0).uploads:
        sent[up.user, list(up.layers)] = 1.0
    assert sent.sum() == 9
    for n, u in enumerate(parts.user.tolist()):
        left = packed.weight_bytes[0, u] * (1.0 - sent[u])
        share = left.sum() / packed.weight_bytes[0, u].sum()
        np.testing.assert_allclose(found[n, : packed.num_servers[0], MISSING], share, rtol=5e-3)
        np.testing.assert_allclose(ahead.layers[n, :, LEFT], left / left.sum(), atol=5e-3)
        np.testing.assert_allclose(ahead.layers[n, :, LEFT_UP_TO], np.cumsum(left) / left.sum(), atol=5e-3)
        for s in range(packed.num_servers[0]):
            upload_s = left.sum() / packed.up_bytes_per_s[0, state.slot[0], u, s]
            over = math.log(upload_s / (packed.slot_edges_s[0, packed.num_slots[0]] - state.time_s[0]))
            assert found[n, s, UPLOAD] == pytest.approx(0.2 * over, abs=0.01)
            assert found[n, s, FITS] == (found[n, s, ROOM] > 0)
    memory = 10.0 ** (8 + 3 * parts.servers[0, :, 1].numpy())
    for n, u in enumerate(parts.user.tolist()):
        left_bytes = (packed.weight_bytes[0, u] * (1.0 - sent[u])).sum()
        fits = np.log(memory / left_bytes)[: packed.num_servers[0]]
        np.testing.assert_allclose(found[n, : packed.num_servers[0], ROOM], np.clip(0.3 * fits, -1, 1), atol=0.01)


def test_the_best_efficiency_of_all_users_is_the_measure_of_the_others():
    _, _, parts, ahead = observed("multi-user", 3)
    efficiency, less = ahead.pairs[..., EFFICIENCY] / 0.1, ahead.pairs[..., LESS] / 0.2
    assert len(parts.row) > 2
    best = efficiency.max()
    torch.testing.assert_close(less, (efficiency - best).clamp(min=-8.0), rtol=1e-3, atol=1e-3)
    upload_s = torch.exp(ahead.pairs[..., UPLOAD] / 0.2) * 10 ** (1 + 2 * parts.time[0, 2])
    device_s = 10 ** (2 * parts.users[:, 3] - 0.5)
    saved_s = ahead.pairs[..., SAVED].clamp(min=1e-3) * device_s[:, None] * parts.users[:, 1, None]
    real = parts.servers[0, :, 0] > 0
    torch.testing.assert_close(efficiency[:, real], torch.log(saved_s / upload_s)[:, real], rtol=1e-3, atol=1e-2)


def test_rows_do_not_see_each_other():
    env = MigrationVectorEnv(3, make_generator("multi-user"), "joint")
    observation, _ = env.reset(seed=4)
    seen, layout = torch.as_tensor(observation["observation"]), env.episodes.layout
    parts = split(seen, layout)
    together = look_ahead(parts, layout)
    for row in range(3):
        alone = look_ahead(split(seen[row : row + 1], layout), layout)
        for one, of_all in zip(alone, together, strict=True):
            torch.testing.assert_close(one, of_all[parts.row == row])


def test_layers_are_told_what_travels_and_what_they_execute():
    env, packed, parts, ahead = observed("multi-user", 3, steps=9)
    held = parts.there.numpy()
    for n, u in enumerate(parts.user.tolist()):
        count = packed.num_layers[0, u]
        device_s = packed.execution_s[0, u, :count, 0].sum()
        share = packed.execution_s[0, u, :count, 0] / device_s
        np.testing.assert_allclose(ahead.layers[n, :count, SHARES], np.cumsum(share), rtol=1e-4)
        np.testing.assert_array_equal(ahead.layers[n, :, ANYWHERE], held[n].max(-1))
        slot = env.episodes.state.slot[0]
        up = packed.up_bytes_per_s[0, slot, u, : packed.num_servers[0]].max()
        down = packed.down_bytes_per_s[0, slot, u, : packed.num_servers[0]].max()
        for v in range(count):
            read_s, written_s = input_bytes(packed, 0, u, v) / up, packed.tensor_bytes[0, u, v] / down
            assert ahead.layers[n, v, READ] == pytest.approx(min(read_s / device_s, 3.0), rel=5e-3, abs=TINY)
            assert ahead.layers[n, v, WRITTEN] == pytest.approx(min(written_s / device_s, 3.0), rel=5e-3, abs=TINY)
            for s in range(packed.num_servers[0]):
                seconds = min(packed.execution_s[0, u, v, s + 1], 1.0)  # observed up to a second
                assert ahead.seconds[n, v, s] == pytest.approx(min(seconds / device_s, 1.0), rel=5e-3, abs=2e-3)
        for s in range(packed.num_servers[0]):
            weights = packed.weight_bytes[0, u, :count]
            assert ahead.pairs[n, s, RUNS] == pytest.approx(share @ held[n, :count, s], abs=1e-4)
            assert ahead.pairs[n, s, HELD] == pytest.approx(weights @ held[n, :count, s] / weights.sum(), abs=5e-3)
            used = parts.layers[n, :count, 2].numpy()
            assert ahead.pairs[n, s, USED] == pytest.approx(share * used @ held[n, :count, s], abs=1e-4)


def test_distances_and_approach_follow_from_places_and_velocities():
    env, _, parts, _ = observed("mobile", 2, steps=12)
    found = geometry(*where_users_are(parts))
    assert len(found) == GEOMETRY
    servers, checked = int((parts.servers[0, :, 0] > 0).sum()), 0
    for n in range(len(parts.row)):
        place, velocity = parts.users[n, 5:7].numpy(), parts.users[n, 7:9].numpy()
        for s in range(servers):
            way = parts.servers[0, s, 4:6].numpy() - place
            distance, approach, passing = (float(feature[n, s]) for feature in found[:3])
            assert distance == pytest.approx(np.hypot(*way), rel=1e-4)
            later = np.hypot(*(way - 1e-3 * velocity))
            assert approach == pytest.approx((np.hypot(*way) - later) / 1e-3, abs=0.02)
            along = np.linspace(0.0, 100.0, 20_001)[:, None] * velocity
            assert passing == pytest.approx(np.hypot(*(way - along).T).min(), abs=0.01)
            checked += 1
    assert checked > 3
    assert env.episodes.layout.lanes


def test_cells_are_entered_when_a_straight_way_comes_nearer_to_them_than_to_home():
    entered, stays = 0, 0
    for seed in range(1, 9):
        env, packed, parts, _ = observed("city", seed, steps=150)
        soon, following = (feature.numpy() for feature in geometry(*where_users_are(parts))[3:])
        places = parts.servers[0, : packed.num_servers[0], 4:6].numpy()
        cells = np.flatnonzero((places != 0).any(1))  # the cloud has no cell
        for n, u in enumerate(parts.user.tolist()):
            home = packed.home[0, env.episodes.state.slot[0], u] - 1
            expected = np.zeros(soon.shape[1])
            for s in set(cells.tolist()) - {home}:
                moments = np.linspace(0.0, 20.0, 20_001)  # in tens of slots
                there = parts.users[n, 5:7].numpy() + moments[:, None] * parts.users[n, 7:9].numpy()
                nearer = np.hypot(*(there - places[s]).T) < np.hypot(*(there - places[home]).T)
                if nearer.any():
                    expected[s] = 1.0 / (1.0 + moments[np.argmax(nearer)])
            np.testing.assert_allclose(np.where(soon[n] < 0.05, 0.0, soon[n]), expected, atol=5e-3)
            if expected.any():
                assert following[n].argmax() == expected.argmax()
                entered += 1
            assert following[n].sum() == (soon[n] > 0).any()
            stays += not expected.any()
    assert entered > 5
    assert stays > 0


def test_by_wire_comes_what_another_server_holds_at_the_rate_of_the_wire_from_there():
    sent, rng = 0, np.random.default_rng(0)
    for seed in (1, 2, 3):
        env, packed, parts, _ = observed("city", seed, steps=300)
        rates = rng.uniform(1e6, 1e7, parts.lines.shape[1:])  # other ones in each direction
        lines = torch.as_tensor((np.log10(rates) - 6.5) / 2.0, dtype=torch.float32)[None]
        ahead = look_ahead(parts._replace(lines=lines), env.episodes.layout)
        share, seconds = (
            ahead.pairs[..., BY_WIRE_FIRST].numpy(),
            np.exp(ahead.pairs[..., BY_WIRE_FIRST + 1].numpy() / 0.2),
        )
        held = env.episodes.state.held[0] != 0
        for n, u in enumerate(parts.user.tolist()):
            count, weights = packed.num_layers[0, u], packed.weight_bytes[0, u]
            for s in range(packed.num_servers[0]):
                lacked = [
                    (weights * held[u, :, other] * ~held[u, :, s]).sum() for other in range(packed.num_servers[0])
                ]
                assert share[n, s] == pytest.approx(max(lacked) / weights[:count].sum(), abs=5e-3)
                if max(lacked) > 1e5:
                    rate = rates[int(np.argmax(lacked)), s]
                    assert seconds[n, s] == pytest.approx(max(lacked) / rate, rel=0.02)
                    sent += 1
                elif max(lacked) == 0:
                    assert seconds[n, s] == 1.0  # of which the logarithm is 0
    assert sent > 10


def test_wires_are_seen_in_the_direction_in_which_they_send():
    _, packed, parts, _ = observed("city", 1)
    rates = 10 ** (6.5 + 2.0 * parts.lines[0].numpy())
    servers = packed.num_servers[0]
    apart = ~np.eye(servers, dtype=bool)
    np.testing.assert_allclose(
        rates[:servers, :servers][apart], packed.between_bytes_per_s[0, :servers, :servers][apart], rtol=1e-3
    )


def test_load_and_rates_enter_where_they_belong():
    _, _, parts, before = observed("multi-user", 3)
    real = parts.servers[parts.row][..., SERVER.exists] > 0

    def with_more(feature, more):
        links = parts.links.clone()
        links[..., feature] += more
        return look_ahead(parts._replace(links=links), FactsLayout(8, 16, 4)).pairs[real]

    pairs = before.pairs[real]
    slower = with_more(LINK.load_of_others, 0.5)
    free = pairs[:, COMPUTING] < 1.0  # below what is cut off
    torch.testing.assert_close(slower[free, COMPUTING], 1.5 * pairs[free, COMPUTING])
    faster = with_more(LINK.log_up_rate, 0.1)  # by 10 ** 0.2
    torch.testing.assert_close(faster[:, UPLOAD], pairs[:, UPLOAD] - 0.2 * 0.2 * math.log(10.0), rtol=1e-4, atol=1e-4)
    short = pairs[:, SENDING] < 3.0
    torch.testing.assert_close(faster[short, SENDING], pairs[short, SENDING] / 10**0.2, rtol=1e-4, atol=1e-4)
    down = with_more(LINK.log_down_rate, 0.1)
    torch.testing.assert_close(down[:, [UPLOAD, SENDING]], pairs[:, [UPLOAD, SENDING]])
    received = pairs[:, THERE] - pairs[:, COMPUTING] - pairs[:, SENDING] - parts.links[real][:, LINK.latency_ratio]
    whole = (pairs[:, THERE] < 3.0) & (pairs[:, COMPUTING] < 2.0)  # nothing is cut off
    gained = pairs[whole, THERE] - down[whole, THERE]
    torch.testing.assert_close(gained, received[whole] * (1.0 - 10**-0.2), rtol=1e-3, atol=1e-4)
    assert float(gained.max()) > 1e-3


def test_where_weights_move_each_server_misses_what_it_does_not_hold():
    _, packed, parts, ahead = observed("mobile", 2, steps=12)
    assert parts.there.sum() > (parts.there.sum(-1) > 0).sum()  # some layers are on several servers
    for n, u in enumerate(parts.user.tolist()):
        weights = packed.weight_bytes[0, u]
        missing = weights @ (1.0 - parts.there[n].numpy()) / weights.sum()
        np.testing.assert_allclose(ahead.pairs[n, :, MISSING], missing, atol=5e-3)
    servers = parts.servers.clone()
    servers[..., ROOM_THERE] -= 0.1
    less = look_ahead(parts._replace(servers=servers), FactsLayout(6, 16, 5, lanes=True)).pairs[..., ROOM]
    inside = (ahead.pairs[..., ROOM].abs() < 1.0) & (less.abs() < 1.0)
    assert inside.any()
    torch.testing.assert_close(less[inside], ahead.pairs[..., ROOM][inside] - 0.3 * 0.3 * math.log(10.0))
