"""The cold start of a plan as one number, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dnnmig_env.scenarios.scenario import Links
from dnnmig_env.simulation.plan import Plan, plan_of
from dnnmig_env.simulation.simulator import simulate
from evaluate.compare.cold_start import cold_starts_s
from tests.agents.planners.hand_made import chain

# Two users of two layers: 1 s each on the device, 0.1 s each on the server. Weights 1 MB each, no other bytes, 1 MB/s.
TWO = chain([1, 1], [0, 0], query_rate_hz=[1.0, 5.0])
ALL = plan_of([(0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 1)])


def test_users_count_alike_however_many_queries_they_raise() -> None:
    # Each raises a single query: the first waits until 2 and ends at 2.1, the second until 4 and ends at 4.1.
    assert cold_starts_s(simulate(TWO, ALL)) == pytest.approx(((2.1 + 4.1) / 2, 2.0))


def test_nothing_uploaded_is_the_device() -> None:
    assert cold_starts_s(simulate(TWO, Plan())) == pytest.approx((2.0, 2.0))


def test_users_who_never_come_do_not_count() -> None:
    absent = replace(TWO, users=(TWO.users[0], replace(TWO.users[1], query_rate_hz=0.0)))
    assert cold_starts_s(simulate(absent, ALL)) == pytest.approx((2.1, 2.0))


def test_who_waits_at_the_horizon_has_waited_in_vain() -> None:
    # At 3.5 the second user's query gives up and runs on its device: 3.5 + 2. It would have been done at 4.1.
    assert cold_starts_s(simulate(replace(TWO, horizon_s=1.5), ALL)) == pytest.approx(((2.1 + 3.5) / 2, 2.0))
    # Its link dies at 3: its query would wait for ever.
    up = np.full((2, 2, 1), 1e6)
    up[1, 1] = 0.0
    dies = replace(TWO, slot_starts_s=(0.0, 3.0), links=Links(up, 1e6), horizon_s=8.0)
    assert cold_starts_s(simulate(dies, ALL)) == pytest.approx(((2.1 + 10.0) / 2, 2.0))


def test_users_who_come_later_wait_from_then_on() -> None:
    # The second user comes at 3 and its link dies at once: it waits until 8, 5 s, and runs on its device for 2 s.
    up = np.full((2, 2, 1), 1e6)
    up[1, 1] = 0.0
    later = replace(TWO.users[1], query_rate_hz=[0.0, 1.0])
    scenario = replace(TWO, users=(TWO.users[0], later), slot_starts_s=(0.0, 3.0), links=Links(up, 1e6), horizon_s=8.0)
    assert cold_starts_s(simulate(scenario, ALL)) == pytest.approx(((2.1 + 7.0) / 2, 2.0))


def test_the_device_delay_of_users_who_never_come_does_not_count() -> None:
    slow = replace(TWO.users[1], query_rate_hz=0.0, profile_s=[[3.0, 0.1], [3.0, 0.1]])
    assert cold_starts_s(simulate(replace(TWO, users=(TWO.users[0], slow)), ALL)) == pytest.approx((2.1, 2.0))
