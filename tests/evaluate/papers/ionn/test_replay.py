"""Replays: worked by hand on a small profile, and the published figures on the measured ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluate.papers.ionn.measured_profiles import load_profiles
from evaluate.papers.ionn.replay import METHODS, Replay, replay
from evaluate.papers.ionn.tables import DELAY, QUERIES, greatest_improvements, tables
from tests.agents.planners.measured_alexnet import BY_HAND, FILE, needs_profile
from tests.evaluate.papers.profiles import TINY, write_profiles


def replays_of(folder: Path, *mbps: float) -> dict[tuple[str, float, str], Replay]:
    return {(one.network, one.mbps, one.method): one for one in replay(load_profiles(folder), mbps)}


@pytest.fixture
def tiny(tmp_path: Path) -> dict[str, Replay]:
    return {method: one for (_, _, method), one in replays_of(write_profiles(tmp_path), 80.0).items()}


def test_partitions_and_queries_worked_by_hand(tiny: dict[str, Replay]) -> None:
    # IONN: `a` saves 370 ms and takes 1000 to upload, so it comes with K <= 0.37; `b` and `c`, 480 ms and 4000 each,
    # both come with K <= 0.12, so together. The others send `b` first. All upload for 9 s.
    coarse, fine = [[0, 1], [2, 3]], [[0, 1], [2, 2], [3, 3]]
    partitions = {method: one.partitions for method, one in tiny.items()}
    assert partitions == {
        "all-at-once": [[0, 3]],
        "ionn-0.5": coarse,
        "ionn-0.8": coarse,
        "efficiency": fine,
        "lmu": fine,
    }
    # All at once: 9 / 1.5. IONN: one of 1.5 s, then 7.5 / 1.13. Others: one of 1.5 s, 3.5 / 1.13, 2.98 / 0.65.
    assert [one.queries_finished for one in tiny.values()] == [6, 1 + 7, 1 + 7, 1 + 4 + 5, 1 + 4 + 5]
    ionn_ms, fine_ms = (1500 + 8 * 1130) / 9, (1500 + 4 * 1130 + 4 * 650) / 9
    averages = [one.row()["time_average_delay_ms"] for one in tiny.values()]
    assert averages == pytest.approx([1500, ionn_ms, ionn_ms, fine_ms, fine_ms])


def test_a_row_says_everything(tiny: dict[str, Replay]) -> None:
    row = tiny["efficiency"].row()
    assert row["partition_blocks"] == [[0, 1], [2], [3]]
    assert row["partition_bytes"] == [10485760, 41943040, 41943040]
    assert row["device_only_delay_ms"] == pytest.approx(1500)
    assert row["migration_delay_ms"] == pytest.approx(170)
    assert row["horizon_ms"] == pytest.approx(9000)


def test_queries_are_counted_one_after_another(tiny: dict[str, Replay]) -> None:
    for one in tiny.values():
        start_s, count = 0.0, 0
        while start_s < one.timeline.scenario.horizon_s:
            start_s, count = start_s + float(one.timeline.delay_s(start_s)[0]), count + 1
        assert one.queries_finished == count


def test_a_partition_may_have_gaps(tmp_path: Path) -> None:
    # `b` now takes 1 ms to upload: it is first. Then `a` saves 380 ms in 3.6 s, `c` 480 ms in 4 s: both at K = 1/16.
    text = TINY.replace("1,524288,524288,41943040", "1,524288,524288,10240", 1).replace("10485760", "37748736")
    one = replays_of(write_profiles(tmp_path, text), 80.0)["tiny", 80.0, "ionn-0.5"]
    assert one.blocks == [[2], [0, 1, 3]]
    assert one.partitions == [[2, 2], [0, 3]]


def test_tables_have_a_row_per_network_and_rate(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_profiles(tmp_path, name=name)
    rows = tables(list(replays_of(tmp_path, 40.0, 80.0).values()))
    assert [row[:2] for row in rows[QUERIES]] == [("one", "40"), ("one", "80"), ("two", "40"), ("two", "80")]
    assert rows[QUERIES][1][2:] == ("6 (1)", "8 (2)", "8 (2)", "10 (3)", "10 (3)")
    assert rows[DELAY][1][2:] == ("1500.0", "1171.1", "1171.1", "957.8", "957.8")


def test_the_greatest_improvement_is_found(tmp_path: Path) -> None:
    more, less, *_ = greatest_improvements(list(replays_of(write_profiles(tmp_path), 0.01, 80.0).values()))
    assert (more.network, more.mbps, more.efficiency, more.ionn, more.share) == ("tiny", 80.0, 10, 8, 0.25)
    assert less.share == pytest.approx(1 - 957.8 / 1171.1, abs=1e-4)
    assert str(more) == ("efficiency over ionn-0.5: up to 25.0% more queries finished (tiny at 80 Mbps: 10 against 8)")


def test_forms_of_ionn_that_differ_finish_the_queries_derived_by_hand(tmp_path: Path) -> None:
    # The derivation stands beside the profile.
    one = {method: one for (_, _, method), one in replays_of(write_profiles(tmp_path, BY_HAND), 80.0).items()}
    fine = [[0, 0], [1, 1], [2, 2]]
    partitions = {"all-at-once": [[0, 2]], "ionn-0.5": [[0, 0], [1, 2]]} | dict.fromkeys(list(METHODS)[2:], fine)
    assert {method: each.partitions for method, each in one.items()} == partitions
    counts = {"all-at-once": 5, "ionn-0.5": 6, "ionn-0.8": 7, "efficiency": 7, "lmu": 7}
    assert {method: each.queries_finished for method, each in one.items()} == counts
    assert all(each.timeline.scenario.horizon_s == pytest.approx(6.0) for each in one.values())


@needs_profile
def test_measured_alexnet_gives_the_published_figures() -> None:
    found = {method: one for (name, _, method), one in replays_of(FILE.parent, 80.0).items() if name == "alexnet"}
    counts = {method: one.queries_finished for method, one in found.items()}
    assert counts == {"all-at-once": 29, "ionn-0.5": 61, "ionn-0.8": 61, "efficiency": 93, "lmu": 93}
    assert found["ionn-0.5"].partitions == found["ionn-0.8"].partitions == [[0, 7], [8, 14], [15, 21]]
    assert len(found["efficiency"].partitions) == len(found["lmu"].partitions) == 8


@needs_profile
def test_on_the_measured_profiles_every_method_beats_the_one_before_on_average() -> None:
    found = replays_of(FILE.parent, 10.0, 40.0, 160.0)
    averages = {
        method: np.array([one.timeline.mean_delay_s for (_, _, name), one in found.items() if name == method])
        for method in METHODS
    }
    assert (averages["ionn-0.5"] < averages["all-at-once"]).all()
    assert (averages["efficiency"] < averages["ionn-0.5"]).all()
    assert (averages["efficiency"] <= averages["lmu"] * (1 + 1e-12)).all()
