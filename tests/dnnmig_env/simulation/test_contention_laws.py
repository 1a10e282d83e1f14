"""Laws of contention and of weights that give way, on random scenarios."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from dnnmig_env.arrays import Floats
from dnnmig_env.scenarios.scenario import Links, Scenario
from dnnmig_env.scenarios.uplink import Uplink
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.simulator import simulate
from tests import oracle
from tests.strategies import Sizes, cases, random_case

ONE = Sizes(users=1)
ALONE = Sizes(users=1, slots=1, absences=False)
STEADY = Sizes(users=5, slots=1, absences=False, outages=False, uplinks=("priority", "independent"))
SLACK = 1 + 1e-9  # for rounding


def settled_delays_s(scenario: Scenario, assignments: list[oracle.Assignment]) -> Floats:
    """Return every user's delay at the fixed point for given assignments, by plain iteration until nothing changes."""
    users = range(len(scenario.users))
    alone = [oracle.seconds_at_stations(scenario, 0, u, assignments[u]) for u in users]
    delays = np.array([oracle.delay_s(scenario, 0, u, assignments[u], {}) for u in users])
    slowdowns: list[dict[oracle.Station, float]] = [{} for _ in users]
    for _ in range(2000):
        present: list[dict[oracle.Station, float]] = []
        for u in users:
            cycle_s = max(1 / oracle.rate_hz(scenario, 0, u), delays[u])
            present.append({at: min(1.0, s * slowdowns[u].get(at, 1.0) / cycle_s) for at, s in alone[u].items()})
        slowdowns = [{at: 1 + sum(present[w].get(at, 0.0) for w in users if w != u) for at in alone[u]} for u in users]
        before = delays
        delays = np.array([oracle.delay_s(scenario, 0, u, assignments[u], slowdowns[u]) for u in users])
        if np.allclose(before, delays, rtol=1e-12):
            break
    return delays


def test_delays_come_near_to_the_fixed_point() -> None:
    # What is uploaded at the start, and once more where users ask so often that they never leave the servers.
    errors: list[float] = []
    contended = 0
    for seed in range(150):
        scenario, _ = random_case(seed, STEADY)
        hurry = 30.0 if seed % 2 else 1.0
        users = tuple(replace(user, query_rate_hz=hurry * np.asarray(user.query_rate_hz)) for user in scenario.users)
        scenario = replace(scenario, users=users)
        timeline = simulate(scenario, Plan())
        taken = [
            {v: int(node) for v, node in enumerate(timeline.event_assignment[0, u, : len(user.graph)])}
            for u, user in enumerate(scenario.users)
        ]
        expected = settled_delays_s(scenario, taken)
        errors += np.abs(timeline.event_delay_s[0] / expected - 1).tolist()
        contended += bool(np.any(timeline.event_slowdown > 1.1))
    assert contended > 30
    assert max(errors) < 0.01


def test_migration_delays_are_those_of_the_fixed_point() -> None:
    for seed in range(80):
        scenario, plan = random_case(seed, replace(STEADY, uploaded=False))
        timeline = simulate(scenario, plan)
        placed: list[dict[int, int]] = [{} for _ in scenario.users]
        for upload in plan.uploads:
            placed[upload.user].update(dict.fromkeys(upload.layers, upload.server))
        taken = [oracle.everything_available(scenario, u, placed[u]) for u in range(len(scenario.users))]
        delays, rates = settled_delays_s(scenario, taken), [oracle.rate_hz(scenario, 0, u) for u in range(len(taken))]
        assert timeline.migration_delay_s == pytest.approx(np.average(delays, weights=rates), rel=1e-4)


@given(cases(ONE))
def test_uploads_of_one_user_end_no_later_where_weights_and_data_do_not_meet(case: tuple[Scenario, Plan]) -> None:
    scenario, plan = case
    free = simulate(scenario, plan, uplink="independent").uploads
    others: tuple[Uplink, ...] = ("priority", "shared")
    for uplink in others:
        for one, other in zip(free, simulate(scenario, plan, uplink=uplink).uploads, strict=True):
            assert one.start_s <= other.start_s * SLACK
            assert one.end_s <= other.end_s * SLACK
            assert one.sent_bytes * SLACK >= other.sent_bytes


@given(cases(ALONE))
def test_one_user_whose_rates_do_not_change_is_best_off_where_weights_and_data_do_not_meet(
    case: tuple[Scenario, Plan],
) -> None:
    # If rates change, a user may be led to an assignment that turns out worse later (test_simulator.py).
    scenario, plan = case
    free_s = simulate(scenario, plan, uplink="independent").mean_delay_s
    assert free_s <= simulate(scenario, plan, uplink="priority").mean_delay_s * SLACK
    assert free_s <= simulate(scenario, plan, uplink="shared").mean_delay_s * SLACK


@given(cases(Sizes(users=3, outages=False)))
def test_users_who_hardly_ever_ask_leave_the_uplink_to_weights_and_slow_nobody(case: tuple[Scenario, Plan]) -> None:
    scenario, plan = case
    users = tuple(replace(user, query_rate_hz=np.asarray(user.query_rate_hz) * 1e-7) for user in scenario.users)
    seldom = replace(scenario, users=users)
    free, giving = simulate(seldom, plan, uplink="independent"), simulate(seldom, plan, uplink="priority")
    assert [upload.end_s for upload in giving.uploads] == pytest.approx([upload.end_s for upload in free.uploads])
    assert giving.mean_delay_s == pytest.approx(free.mean_delay_s, rel=1e-3)
    assert giving.event_slowdown.max() < 1.001
    # Then everybody takes as long as a user that is alone.
    for user in range(len(users)):
        others = tuple(replace(each, query_rate_hz=0.0) if w != user else each for w, each in enumerate(users))
        if np.any(np.asarray(users[user].query_rate_hz) > 0):
            alone = simulate(replace(seldom, users=others), plan, uplink="priority")
            assert alone.delay_s(0.0)[user] == pytest.approx(giving.delay_s(0.0)[user], rel=1e-3)


@given(cases(Sizes(users=3)))
def test_who_runs_everything_on_the_device_slows_nobody_and_leaves_weights_the_uplink(
    case: tuple[Scenario, Plan],
) -> None:
    # Servers on which every layer takes for ever are never used.
    scenario, plan = case
    users = tuple(
        replace(user, profile_s=np.where(np.arange(seconds.shape[1]) > 0, 1e6, seconds))
        for user, seconds in zip(scenario.users, scenario.execution_s, strict=True)
    )
    useless = replace(scenario, users=users)
    timeline = simulate(useless, plan)
    assert np.all(timeline.event_slowdown[:, :, 1 : len(scenario.servers) + 1] == 1.0)
    # Under the reading "shared" an upload is on the uplink, and nobody else is.
    if scenario.uplink != "shared":
        assert np.all(timeline.event_slowdown == 1.0)
    ends = [upload.end_s for upload in simulate(useless, plan, uplink="independent").uploads]
    assert [upload.end_s for upload in timeline.uploads] == ends
    present = timeline.event_delay_s[timeline.present]
    np.testing.assert_array_equal(
        present, np.broadcast_to(timeline.device_delay_s, timeline.present.shape)[timeline.present]
    )


@given(cases(Sizes(users=3, outages=False)))
def test_over_links_that_take_no_time_users_meet_on_servers_alone(case: tuple[Scenario, Plan]) -> None:
    scenario, plan = case
    timeline = simulate(replace(scenario, links=Links(1e18, 1e18, between_bytes_per_s=1e18)), plan)
    servers = timeline.event_slowdown[:, :, : len(scenario.servers) + 1]
    links = timeline.event_slowdown[:, :, len(scenario.servers) + 1 :].copy()
    if scenario.uplink == "shared":
        links[..., -2] = 1.0  # an upload counts as one customer, however short
    np.testing.assert_allclose(links, 1.0, atol=1e-9)
    assert np.all(servers >= 1.0)
    assert np.all(timeline.event_slowdown[:, :, 0] == 1.0)  # a device serves its own user only
    apart = simulate(timeline.scenario, plan, uplink="independent")
    if scenario.uplink == "priority":
        assert timeline.mean_delay_s == pytest.approx(apart.mean_delay_s, rel=1e-6)


@given(cases(Sizes(users=4)))
def test_nobody_is_slowed_more_than_by_everybody_else_at_once(case: tuple[Scenario, Plan]) -> None:
    timeline = simulate(*case)
    others = len(timeline.scenario.users) - 1
    uploads = 1 if timeline.scenario.uplink == "shared" else 0
    assert np.all(timeline.event_slowdown >= 1.0)
    assert np.all(timeline.event_slowdown[..., -2] <= 1 + others + uploads + 1e-9)
    assert np.all(np.delete(timeline.event_slowdown, -2, axis=2) <= 1 + others + 1e-9)
