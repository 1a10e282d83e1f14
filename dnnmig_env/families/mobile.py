"""Scenarios whose users move between edges, come and go, so that decisions must be taken on the way, with foresight."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.families.draw.batch import Participants, SlotConditions, drawn_batch
from dnnmig_env.families.draw.links import draw_backbone, reach
from dnnmig_env.families.draw.machines import CLOUD, DEVICE, EDGE, MachineLists, machine_kinds
from dnnmig_env.families.draw.mobility import autoregressive, gauss_markov
from dnnmig_env.families.draw.network_table import NetworkTable, checked_networks, network_table
from dnnmig_env.families.draw.participants import QUERY_RATE_HZ, draw_participants, limit_memory, query_rates_hz
from dnnmig_env.families.draw.ranges import (
    CountRange,
    Ranges,
    check_count,
    check_number,
    counts,
    log_uniform,
    normalize_ranges,
    uniform,
)
from dnnmig_env.families.draw.recorded_rates import checked_traces, draw_traces, recorded_rates
from dnnmig_env.scenarios.slots import uniform_starts
from dnnmig_env.scenarios.uplink import Uplink, check_uplink
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.radio import radio_bytes_per_s
from dnnmig_env.simulation.scenario_batch import ScenarioBatch


@dataclass(frozen=True)
class Mobile(MachineLists):
    """Draws scenarios of users who move, arrive and leave, so that the best plan changes over time.

    Networks, machines, memory limits and lines between servers are drawn as in `EdgeCloud`, but the lines of edges are
    slower, so that an edge that a user has left behind is worth less than the nearest one. Every edge is a cell with a
    radio channel of its own, and weights may be sent on from server to server (`Scenario.moves`). Also drawn are:

    | what | drawn | unit |
    |---|---|---|
    | horizon, slots | `horizon_s`, slots of `slot_s` | s |
    | edges | evenly around the centre of the square, 0.2 to 0.4 sides from it, turned and jittered at random | m |
    | users | start anywhere; Gauss-Markov velocities, mean speed log-uniform in `speed_m_per_s` | m, m/s |
    | home edge in each slot | the nearest; the user is in its cell | |
    | access rate in each slot | Shannon's at the distance to the home edge, with shadowing | bytes/s |
    | shadowing | normal, `shadowing_db`, correlated from slot to slot by `shadowing_correlation` | dB |
    | arrival | at once with probability 1/2, else uniform in the first half; the first arrival is time 0 | slots |
    | stay | to the end with probability 1/2, else uniform between a third of the horizon and all of it | slots |

    The horizon is a minute by default: uploading the users' networks takes about as long, and users cross a good part
    of the square. Positions and velocities may be observed (`Scenario.mobility`), but not what is to come. After time 0
    some users may be absent for a time, even all of them.

    With `moves=False` all users share one channel, and weights stay where they have been uploaded. It shows what cells
    and moves are worth, and gives a scenario with a future to what is made for one channel.

    Attributes:
        num_users: Least and most users. Here and below, one number stands for a range of that one value,
            and where ranges are no counts there may be several of them, of which each draw takes one: ((1, 2), (5, 8)).
        num_edges: Least and most edges.
        max_layers: Networks are merged to at most this many layers.
        networks: "train", "test" or "all" networks of the zoo, or names of networks or files of traced networks.
        device_flops_per_s: Effective speed of devices.
        edge_flops_per_s: Effective speed of edges.
        cloud_flops_per_s: Effective speed of the cloud.
        access_latency_s: Latency between a user and its home edge.
        backhaul_mbps: Rate of edges' lines.
        backhaul_latency_s: Latency of edges' lines.
        wan_mbps: Rate of the cloud's line.
        wan_latency_s: Latency of the cloud's line.
        edge_memory_share: Memory of an edge as a share of all users' weights; it is at least their largest layer.
        query_rate_hz: Queries that each user raises per second while it is present.
        horizon_s: Length of a scenario.
        slot_s: Length of a time slot.
        area_m: Side of the square in which users move.
        speed_m_per_s: Mean speeds, from walking to driving.
        velocity_memory: Correlation of the velocity between one slot and the next.
        velocity_deviation: Standard deviation of the velocity's components, as a share of the mean speed.
        shadowing_db: Standard deviation of the shadowing.
        shadowing_correlation: Correlation of the shadowing between one slot and the next.
        moves: Whether every edge is a cell of its own, and weights may be sent on from server to server.
        uplink: How weights and the data of queries share the uplink: "priority", "shared" or "independent" (see
            `uplink.Uplink`).
        traces: Files of recorded rates, which take the place of the radio's rates. One is drawn for each user and begun
            at a random time.
        chunk: Number of scenarios that environments draw at once. With another number, the same seed gives other
            scenarios.

    Raises:
        ValueError: If an option is not valid.
    """

    num_users: CountRange = (2, 6)
    num_edges: CountRange = (3, 4)
    max_layers: int = 16
    networks: str | tuple[str, ...] = "train"
    device_flops_per_s: Ranges = DEVICE.flops_per_s
    edge_flops_per_s: Ranges = EDGE.flops_per_s
    cloud_flops_per_s: Ranges = CLOUD.flops_per_s
    access_latency_s: Ranges = (0.002, 0.01)
    backhaul_mbps: Ranges = (5.0, 50.0)
    backhaul_latency_s: Ranges = (0.001, 0.005)
    wan_mbps: Ranges = (5.0, 50.0)
    wan_latency_s: Ranges = (0.02, 0.06)
    edge_memory_share: Ranges = (0.2, 0.8)
    query_rate_hz: Ranges = QUERY_RATE_HZ
    horizon_s: float = 60.0
    slot_s: float = 2.0
    area_m: float = 600.0
    speed_m_per_s: Ranges = (1.0, 15.0)
    velocity_memory: float = 0.9
    velocity_deviation: float = 0.3
    shadowing_db: float = 4.0
    shadowing_correlation: float = 0.7
    moves: bool = True
    uplink: Uplink = "priority"
    traces: tuple[str, ...] = ()
    chunk: int = 8

    family: ClassVar[str] = "mobile"

    def __post_init__(self) -> None:
        normalize_ranges(self, counts=("num_users", "num_edges"), several=_RANGES)
        check_count(self, "max_layers", "chunk")
        check_uplink(self.uplink)
        self.check_machines()
        if not isinstance(self.moves, bool):
            raise ValueError(f"moves is {self.moves!r}; give True or False.")
        check_number(self, "horizon_s", "slot_s", "area_m", low=1e-3)
        check_number(self, "velocity_memory", "shadowing_correlation", high=1.0)
        check_number(self, "velocity_deviation", "shadowing_db")
        object.__setattr__(self, "networks", checked_networks(self.networks, self.max_layers))
        object.__setattr__(self, "traces", checked_traces(self.traces))

    @cached_property
    def limits(self) -> Limits:
        """Sizes of the largest scenario that the generator can draw."""
        return self._table.limits(
            self.num_users[1], self.num_edges[1] + 1, len(self._slot_edges_s) - 1, lanes=self.moves
        )

    def draw(self, rng: np.random.Generator, count: int) -> ScenarioBatch:
        """Draw `count` scenarios; see `registry.Generator`."""
        kinds = machine_kinds(self)
        participants = draw_participants(rng, count, self._table, self.num_users, self.num_edges, kinds)
        limit_memory(rng, participants, self.edge_memory_share)
        execution_s = participants.execution_s()
        latencies_s = (self.backhaul_latency_s, self.wan_latency_s)
        backbone = draw_backbone(rng, participants, (self.backhaul_mbps, self.wan_mbps), latencies_s)
        users = (participants.network >= 0)[:, None]
        slot_s = np.diff(self._slot_edges_s)

        edges_m = _edge_positions_m(rng, participants, self.area_m)
        speed = log_uniform(rng, self.speed_m_per_s, participants.network.shape)
        positions_m, velocities = gauss_markov(
            rng, speed, slot_s, self.area_m, self.velocity_memory, self.velocity_deviation
        )
        home, access = self._access(rng, participants, positions_m, edges_m)
        access_latency_s = uniform(rng, self.access_latency_s, (count, 1, self.num_users[1]))
        bytes_per_s, latency_s = reach(home, access * users, access_latency_s, backbone)
        query_rate_hz = query_rates_hz(rng, participants, self.query_rate_hz)
        conditions = SlotConditions(
            slot_edges_s=np.tile(self._slot_edges_s, (count, 1)),
            query_rate_hz=query_rate_hz[:, None] * _presence(rng, users, len(slot_s)),
            bytes_per_s=bytes_per_s,
            latency_s=latency_s,
            between_bytes_per_s=backbone.without_loops(),
            between_latency_s=backbone.latency_s,
            user_positions=(positions_m / self.area_m - 0.5) * users[..., None],
            user_velocities=velocities * (slot_s[:, None, None] / self.area_m) * users[..., None],
            server_positions=(edges_m / self.area_m - 0.5) * participants.is_edge[..., None],
            area_m=self.area_m,
            home=(home + 1) * users if self.moves else None,
        )
        return drawn_batch(self.family, self.uplink, participants, execution_s, conditions, moves=self.moves)

    def _access(
        self, rng: np.random.Generator, participants: Participants, users_m: Floats, edges_m: Floats
    ) -> tuple[Ints, Floats]:
        """Return the index of each user's nearest edge and the rate to it in bytes/s, each of shape (B, T, U)."""
        apart = [users_m[..., axis, None] - edges_m[:, None, None, : self.num_edges[1], axis] for axis in (0, 1)]
        square = apart[0] ** 2 + apart[1] ** 2
        square += np.where(participants.is_edge, 0.0, np.inf)[:, None, None, : self.num_edges[1]]
        home = square.argmin(axis=-1)
        if self.traces:
            recorded = draw_traces(rng, self.traces, participants.network.shape)
            return home, recorded_rates(rng, recorded, np.tile(self._slot_edges_s, (len(home), 1)))
        noise = autoregressive(rng.standard_normal(square.shape), self.shadowing_correlation)
        at_home = [np.take_along_axis(values, home[..., None], axis=-1)[..., 0] for values in (square, noise)]
        return home, radio_bytes_per_s(np.sqrt(at_home[0]), self.shadowing_db * at_home[1])

    @cached_property
    def _table(self) -> NetworkTable:
        return network_table(self.networks, self.max_layers)

    @cached_property
    def _slot_edges_s(self) -> Floats:
        return np.append(uniform_starts(self.slot_s, self.horizon_s), self.horizon_s)


def _edge_positions_m(rng: np.random.Generator, participants: Participants, area_m: float) -> Floats:
    """Draw where the edges stand, in metres from a corner of the square, shape (B, S, 2)."""
    shape = participants.is_edge.shape
    turn, jitter = rng.random((shape[0], 1)), uniform(rng, (-0.25, 0.25), shape)
    angle = 2 * np.pi * (turn + (np.arange(shape[1]) + jitter) / participants.num_edges[:, None])
    from_centre = uniform(rng, (0.2, 0.4), shape)
    offset = from_centre[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    positions_m: Floats = area_m * (0.5 + offset)
    return positions_m


def _presence(rng: np.random.Generator, users: Bools, num_slots: int) -> Bools:
    """Draw in which slots each user is present, shape (B, T, U), given which users there are, shape (B, 1, U)."""
    late, leaves = (rng.random(users.shape) < 0.5 for _ in range(2))
    arrival = np.where(late, counts(rng, (0, num_slots // 2), users.shape), 0)
    arrival -= np.where(users, arrival, num_slots).min(axis=2, keepdims=True)
    stay = np.where(leaves, counts(rng, (math.ceil(num_slots / 3), num_slots), users.shape), num_slots)
    slot = np.arange(num_slots)[:, None]
    return (arrival <= slot) & (slot < arrival + stay)


_RANGES = (
    "device_flops_per_s",
    "edge_flops_per_s",
    "cloud_flops_per_s",
    "access_latency_s",
    "backhaul_mbps",
    "backhaul_latency_s",
    "wan_mbps",
    "wan_latency_s",
    "edge_memory_share",
    "query_rate_hz",
    "speed_m_per_s",
)
