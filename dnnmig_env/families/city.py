"""Scenarios in one town, always the same, whose people move along its streets: its habits can be learned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.families.draw.batch import Participants, SlotConditions, drawn_batch
from dnnmig_env.families.draw.machines import CLOUD, DEVICE, MachineLists, machine_kinds
from dnnmig_env.families.draw.mobility import autoregressive_runs
from dnnmig_env.families.draw.network_table import NetworkTable, checked_networks, network_table
from dnnmig_env.families.draw.participants import draw_machines_of, limit_memory, query_rates_hz
from dnnmig_env.families.draw.ranges import CountRange, Range, check_count, check_number, normalize_ranges, uniform
from dnnmig_env.families.town.crowd import Crowd, draw_crowd, joined
from dnnmig_env.families.town.ground import Ground, Schedule
from dnnmig_env.families.town.links import between_servers, draw_cloud_lines, to_servers
from dnnmig_env.families.town.recorded import checked_positions, known_recorded_town
from dnnmig_env.families.town.town import TownOptions, known_town
from dnnmig_env.scenarios.slots import uniform_starts
from dnnmig_env.scenarios.uplink import Uplink, check_uplink
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.radio import radio_bytes_per_s
from dnnmig_env.simulation.scenario_batch import ScenarioBatch


@dataclass(frozen=True)
class City(MachineLists):
    """Draws scenarios of people who come, go along the streets of one town, and leave; weights move after them.

    The town is drawn from `city_seed` alone, so that it is the same in every scenario:

    | of the town | drawn | unit |
    |---|---|---|
    | streets | a grid, `block_m` apart; `gap_share` of the segments, all of side streets, are missing | m |
    | main streets | `main_share` of the streets, with the greater of the two limits `limit_m_per_s` | m/s |
    | places | `num_places`, at random segments; popular as 1 / rank^`popularity_exponent` | |
    | destinations | by popularity times a log-normal factor per pair (`habit`), `least_trip_m` away or more | |
    | routes between two places | `num_routes` on foot, by length, and by car, by time, up to `detour` longer | |
    | networks of a place | `networks_per_place` of `networks`, all with the same probability | |
    | edges | `num_edges`, at the crossings that cover the streets best | |
    | wires | between edges whose streets meet: log-uniform in `wire_mbps`, uniform in `wire_latency_s` | Mbit/s, s |

    Between two edges, the rate is the least and the latency the sum along the path of wires whose least rate is
    greatest; between neighbours, too, where that is not their own wire. With `city_seed=None` every scenario has a town
    of its own, which takes about 20 ms more to draw.

    Every scenario then draws:

    | what | drawn | unit |
    |---|---|---|
    | arrivals | Poisson, the rate log-uniform in `arrivals_per_min`; the first one is at time 0 | per minute |
    | who stays | at most `num_present` at a time and `num_users` in all; those who come later are turned away | |
    | trip | from a place by popularity to one of its destinations, and on to others, `legs` in all | |
    | stop | at each destination but the last, uniform in `stop_s` | s |
    | car or on foot | by car with probability `car_share` | |
    | speed | on foot uniform in `walk_m_per_s`; by car uniform in `drive_share` of each street's limit | m/s |
    | waiting | at each crossing of three streets or more, with probability `wait_share`, uniform in `wait_s` | s |
    | network | one of those of the place that the user comes from | |
    | home edge in each slot | the nearest; its cell is a radio channel of its own | |
    | access rate in each slot | Shannon's at the distance to the home edge, with shadowing | bytes/s |
    | shadowing | normal, `shadowing_db`, correlated by `shadowing_correlation`, drawn anew in every cell | dB |
    | cloud's line | the same behind all edges: log-uniform in `wan_mbps`, uniform in `wan_latency_s` | Mbit/s, s |
    | memory of an edge | uniform in `edge_memory_networks` times the mean network of the scenario's users | bytes |
    | devices, edges, cloud, query rates | as in `EdgeCloud` | |

    A user is served by its home edge and the cloud only; it has rate 0 to all other edges. It leaves at its
    destination. While it is absent it has query rate 0 and rate 0 to all servers, and stands still at the centre of the
    square, so that nothing tells where it will come from. Velocities are those at the moment a slot begins.

    With `positions`, users and where they are come from a file (`dnnmig_env.scenarios.positions_file`): a scenario is a
    part of it that begins at a random time. Users who would be too many are turned away; velocities are those over the
    slot before; edges best cover where people were; the networks are those of the cell in which a user begins.

    The defaults are a town centre with Wi-Fi cells in which foresight pays: see docs/results/results.md. The arrays
    of a scenario, with 300 slots, 24 users and 10 servers, take 2.63 million bytes, mostly rates from users.

    Attributes:
        city_seed: Seed of the town, a whole number from 0 on; None = a new town for every scenario.
        positions: File of recorded positions, floating-car data of SUMO or CSV, in place of drawn trips.
        num_users: Most users in all.
        num_present: Most users at a time.
        arrivals_per_min: Users who arrive per minute. Here and below, one number stands for a range of that one value.
        max_layers: Networks are merged to at most this many layers.
        networks: "train", "test" or "all" networks of the zoo, or names of networks or files of traced networks.
        networks_per_place: Least and most networks that people of one place run.
        device_flops_per_s: Effective speed of devices.
        edge_flops_per_s: Effective speed of edges.
        cloud_flops_per_s: Effective speed of the cloud.
        access_latency_s: Latency between a user and its home edge.
        num_edges: Least and most edges.
        wire_mbps: Rate of the wires between neighbouring edges.
        wire_latency_s: Latency of these wires.
        wan_mbps: Rate between edges and cloud.
        wan_latency_s: Latency between them.
        edge_memory_networks: Memory of an edge in networks of mean size; it is at least the users' largest layer.
        query_rate_hz: Queries that each user raises per second while it is present.
        horizon_s: Length of a scenario.
        slot_s: Length of a time slot.
        area_m: Side of the square that the town fills.
        block_m: Distance between parallel streets.
        gap_share: Share of the segments of street that are missing, as far as all crossings stay connected.
        main_share: Share of the streets that are main streets.
        limit_m_per_s: Speed limit of side streets and of main streets.
        num_places: Least and most places that people come from and go to.
        popularity_exponent: How much more popular the first places are than the last.
        habit: How much destinations depend on where one comes from.
        least_trip_m: Least distance of two places between which somebody goes, as the crow flies.
        num_routes: Number of routes between two places, on foot and by car.
        detour: Most by which each piece of street may seem longer to those who do not take the best route, as a share.
        car_share: Share of users who go by car.
        walk_m_per_s: Walking speeds.
        drive_share: Speeds of cars as a share of the limit, at most 1.
        wait_share: Probability of having to wait at a crossing.
        wait_s: Time of waiting.
        legs: Places to which a user goes one after another before it leaves.
        stop_s: Time for which it stays at each of them before it goes on.
        shadowing_db: Standard deviation of the shadowing.
        shadowing_correlation: Correlation of the shadowing between one slot and the next in the same cell.
        uplink: How weights and data share the uplink: "priority", "shared" or "independent" (see `uplink.Uplink`).
        chunk: Number of scenarios that environments draw at once; others are drawn with another number.

    Raises:
        ValueError: If an option is not valid, or the town has too few streets for its places or edges.
    """

    city_seed: int | None = 21
    positions: str | None = None
    num_users: int = 24
    num_present: int = 12
    arrivals_per_min: Range = (0.7, 1.5)
    max_layers: int = 8
    networks: str | tuple[str, ...] = "train"
    networks_per_place: CountRange = (2, 3)
    device_flops_per_s: Range = DEVICE.flops_per_s
    edge_flops_per_s: Range = (0.5e12, 4e12)
    cloud_flops_per_s: Range = CLOUD.flops_per_s
    access_latency_s: Range = (0.002, 0.01)
    num_edges: CountRange = (6, 9)
    wire_mbps: Range = (12.0, 30.0)
    wire_latency_s: Range = (0.0005, 0.002)
    wan_mbps: Range = (5.0, 50.0)
    wan_latency_s: Range = (0.02, 0.06)
    edge_memory_networks: Range = (5.0, 7.0)
    query_rate_hz: Range = (1.0, 5.0)
    horizon_s: float = 600.0
    slot_s: float = 2.0
    area_m: float = 400.0
    block_m: Range = (60.0, 100.0)
    gap_share: float = 0.3
    main_share: float = 0.3
    limit_m_per_s: Range = (8.3, 13.9)
    num_places: CountRange = (12, 16)
    popularity_exponent: float = 0.8
    habit: float = 1.0
    least_trip_m: float = 200.0
    num_routes: int = 3
    detour: float = 0.5
    car_share: float = 0.9
    walk_m_per_s: Range = (1.0, 2.0)
    drive_share: Range = (0.6, 1.0)
    wait_share: float = 0.3
    wait_s: Range = (3.0, 30.0)
    legs: CountRange = (6, 12)
    stop_s: Range = (20.0, 60.0)
    shadowing_db: float = 4.0
    shadowing_correlation: float = 0.7
    uplink: Uplink = "priority"
    chunk: int = 4

    family: ClassVar[str] = "city"

    def __post_init__(self) -> None:
        normalize_ranges(self, counts=("num_edges", "num_places", "networks_per_place", "legs"), positive=_RANGES)
        check_count(self, "num_users", "num_present", "num_routes", "max_layers", "chunk")
        check_uplink(self.uplink)
        self.check_machines()
        check_number(self, "horizon_s", "slot_s", "area_m", low=1e-3)
        check_number(self, *_SHARES, high=1.0)
        check_number(self, "popularity_exponent", "habit", "least_trip_m", "detour", "shadowing_db")
        if self.drive_share[1] > 1:
            raise ValueError(f"drive_share is {self.drive_share!r}; cars keep to the limit, so give at most 1.")
        if self.city_seed is not None and (
            isinstance(self.city_seed, bool) or not (isinstance(self.city_seed, int) and self.city_seed >= 0)
        ):
            raise ValueError(f"city_seed is {self.city_seed!r}; give a whole number from 0 on, or None for new towns.")
        object.__setattr__(self, "positions", checked_positions(self.positions))
        object.__setattr__(self, "networks", checked_networks(self.networks, self.max_layers))
        if self.city_seed is not None:
            self.ground()

    @cached_property
    def limits(self) -> Limits:
        """Sizes of the largest scenario that the generator can draw."""
        return self._table.limits(self.num_users, self.num_edges[1] + 1, self._schedule.num_slots, lanes=True)

    def ground(self, seed: int | None = None) -> Ground:
        """Return the town in which people move: a `Town`, or a `RecordedTown` if there are positions.

        Args:
            seed: Its seed; by default `city_seed`.

        Raises:
            ValueError: If there is no seed.
        """
        seed = self.city_seed if seed is None else seed
        if seed is None:
            raise ValueError("city_seed is None, so every scenario has a town of its own; give a seed.")
        if self.positions is not None:
            return known_recorded_town(seed, TownOptions.of(self), self.positions)
        return known_town(seed, TownOptions.of(self))

    def draw(self, rng: np.random.Generator, count: int) -> ScenarioBatch:
        """Draw `count` scenarios; see `registry.Generator`."""
        crowd = self._draw_crowd(rng, count)
        kinds = machine_kinds(self)
        participants = draw_machines_of(rng, self._table, crowd.network, crowd.num_edges, self.num_edges[1], kinds)
        limit_memory(rng, participants, self.edge_memory_networks, of_one_network=True)
        execution_s = participants.execution_s()
        conditions = self._conditions(rng, participants, crowd)
        return drawn_batch(self.family, self.uplink, participants, execution_s, conditions, moves=True)

    def _draw_crowd(self, rng: np.random.Generator, count: int) -> Crowd:
        """Draw who comes to the town, and where it is then."""
        sizes = (self._schedule, len(self._table.graphs), self.num_edges[1])
        if self.city_seed is not None:
            return draw_crowd(rng, self.ground(), count, *sizes)
        return joined([draw_crowd(rng, self.ground(int(rng.integers(2**62))), 1, *sizes) for _ in range(count)])

    def _conditions(self, rng: np.random.Generator, participants: Participants, crowd: Crowd) -> SlotConditions:
        num_slots, (batch, num_users) = self._schedule.num_slots, crowd.network.shape
        sizes, present = (batch, num_slots, num_users), (crowd.scenario, crowd.slot, crowd.user)
        lines = draw_cloud_lines(rng, batch, self.wan_mbps, self.wan_latency_s)
        noise = rng.standard_normal(len(crowd.cell))
        shadowing = autoregressive_runs(noise, crowd.enters_cell(), self.shadowing_correlation)
        access = radio_bytes_per_s(crowd.distance_m, self.shadowing_db * shadowing)
        access_latency_s = uniform(rng, self.access_latency_s, (batch, num_users))
        bytes_per_s, latency_s = to_servers(crowd, num_slots, access, access_latency_s, lines)
        between_bytes_per_s, between_latency_s = between_servers(crowd, participants, lines)

        rates_hz = query_rates_hz(rng, participants, self.query_rate_hz)
        query_rate_hz, home = np.zeros(sizes), np.zeros(sizes, np.int64)
        query_rate_hz[present] = rates_hz[crowd.scenario, crowd.user]
        home[:] = np.where(crowd.network >= 0, crowd.central_cell[:, None], 0)[:, None]
        home[present] = crowd.cell
        positions, velocities = np.zeros((*sizes, 2)), np.zeros((*sizes, 2))
        positions[present] = crowd.positions
        velocities[present] = crowd.velocities_per_s * np.diff(self._slot_edges_s)[crowd.slot, None]
        return SlotConditions(
            slot_edges_s=np.tile(self._slot_edges_s, (batch, 1)),
            query_rate_hz=query_rate_hz,
            bytes_per_s=bytes_per_s,
            latency_s=latency_s,
            between_bytes_per_s=between_bytes_per_s,
            between_latency_s=between_latency_s,
            user_positions=positions,
            user_velocities=velocities,
            server_positions=crowd.edges,
            area_m=crowd.area_m,
            home=home,
        )

    @cached_property
    def _table(self) -> NetworkTable:
        return network_table(self.networks, self.max_layers)

    @cached_property
    def _schedule(self) -> Schedule:
        num_slots = len(self._slot_edges_s) - 1
        return Schedule(self.slot_s, num_slots, self.horizon_s, self.num_users, self.num_present)

    @cached_property
    def _slot_edges_s(self) -> Floats:
        return np.append(uniform_starts(self.slot_s, self.horizon_s), self.horizon_s)


_SHARES = ("gap_share", "main_share", "car_share", "wait_share", "shadowing_correlation")

_RANGES = (
    "arrivals_per_min",
    "device_flops_per_s",
    "edge_flops_per_s",
    "cloud_flops_per_s",
    "access_latency_s",
    "wire_mbps",
    "wire_latency_s",
    "wan_mbps",
    "wan_latency_s",
    "edge_memory_networks",
    "query_rate_hz",
    "block_m",
    "limit_m_per_s",
    "walk_m_per_s",
    "drive_share",
    "wait_s",
    "stop_s",
)
