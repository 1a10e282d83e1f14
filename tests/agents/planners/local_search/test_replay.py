"""Replays that begin late and end early: they find what whole replays find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.planners.local_search.chains import PRESENT, TRIAL
from dnnmig_env.simulation.packed import SHARED
from tests.agents.planners.annealed import Chain
from tests.agents.planners.random_scenarios import realistic

SEEDS = range(150)


def changed_from(chain: Chain, first: int) -> None:
    """Write a plan on trial that has the present one's first uploads, then others."""
    kept = chain.uploads(PRESENT)[:first]
    others = [one for one in chain.random_uploads() if one[0] not in kept[:, 0]]
    chain.write(TRIAL, np.array([*kept, *others]).reshape(-1, 3))


def shuffled(chain: Chain, first: int, last: int) -> None:
    """Write the present plan, with uploads `first` to `last` in random order, as the plan on trial."""
    uploads = chain.uploads(PRESENT)
    uploads[first : last + 1] = chain.rng.permutation(uploads[first : last + 1])
    chain.write(TRIAL, uploads)


def test_the_present_plan_costs_what_a_replay_says() -> None:
    for seed in SEEDS:
        chain = Chain(seed)
        assert chain.delay_s(PRESENT) == chain.replay_s(PRESENT)


def test_a_plan_tried_out_from_a_snapshot_costs_what_a_replay_says() -> None:
    for seed in SEEDS:
        chain = Chain(seed)
        first = int(chain.rng.integers(chain.walk.length[PRESENT] + 1))
        changed_from(chain, first)
        assert chain.try_out(first) == chain.replay_s(TRIAL)


def test_snapshots_stay_right_from_change_to_change() -> None:
    for seed in SEEDS[:50]:
        chain = Chain(seed)
        for _ in range(5):
            first = int(chain.rng.integers(chain.walk.length[PRESENT] + 1))
            changed_from(chain, first)
            chain.try_out(first)
            chain.write(PRESENT, chain.uploads(TRIAL))
            assert chain.settle(first) == chain.replay_s(PRESENT)


def test_a_plan_is_given_up_exactly_if_it_costs_too_much() -> None:
    given_up = 0
    for seed in SEEDS:
        chain = Chain(seed)
        changed_from(chain, 0)
        whole_s = chain.try_out(0)
        cost_s = float(chain.walk.cost_s[TRIAL])
        assert chain.try_out(0, most_s=cost_s) == whole_s
        cheap_s = chain.try_out(0, most_s=cost_s * chain.rng.random())
        assert cheap_s in (np.inf, whole_s)  # given up, unless nothing is uploaded after the last look
        given_up += cheap_s == np.inf
    assert given_up > len(SEEDS) / 2


def test_uploads_in_another_order_are_played_until_both_plans_stand_alike() -> None:
    stopped = 0
    for seed in SEEDS[:40]:
        # Where weights give way to data, which of them are there first decides when all of them are.
        scenario = replace(realistic(np.random.default_rng(seed), max_layers=6), uplink="independent")
        chain = Chain(seed, scenario)
        length = int(chain.walk.length[PRESENT])
        if length < 2:
            continue
        first = int(chain.rng.integers(length - 1))
        last = min(first + 3, length - 1)
        shuffled(chain, first, last)
        whole_s, time_s = chain.try_out(first), chain.state.time_s[-1]
        assert chain.try_out(first, last + 1) == pytest.approx(whole_s, rel=1e-12)
        stopped += chain.state.time_s[-1] < time_s
    assert stopped > 10


def test_wherever_it_looks_whether_both_stand_alike_it_finds_the_same() -> None:
    for seed in SEEDS:  # with slots, waits, users who are away
        chain = Chain(seed)
        length = int(chain.walk.length[PRESENT])
        if length > 2:
            first, last = sorted(chain.rng.integers(length, size=2).tolist())
            shuffled(chain, first, last)
            whole_s = chain.try_out(first)
            assert chain.try_out(first, last + 1) == pytest.approx(whole_s, rel=1e-12)


def test_what_is_not_in_by_the_horizon_is_forgotten() -> None:
    forgotten = 0
    for seed in SEEDS:
        chain = Chain(seed)
        uploads = chain.random_uploads()
        chain.write(PRESENT, uploads)
        whole_s = chain.replay_s(PRESENT)
        settled_s = chain.settle(0)
        assert settled_s == pytest.approx(chain.replay_s(PRESENT), rel=1e-14)
        if chain.p.uplink[0] != SHARED:  # there what never arrives slows data on the uplink
            assert settled_s == pytest.approx(whole_s, rel=1e-14)
        kept = int(chain.walk.length[PRESENT])
        np.testing.assert_array_equal(chain.uploads(PRESENT), uploads[:kept])
        assert np.count_nonzero(chain.walk.server) == kept
        forgotten += kept < len(uploads)
    assert forgotten > 0
