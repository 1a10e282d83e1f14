from __future__ import annotations

import math

import numpy as np
import pytest

from dnnmig_env.simulation.plan import Plan
from evaluate.compare.record import Record
from evaluate.truth.comparison import TruthRecord, compared
from evaluate.truth.simulator.outcome import Outcome
from evaluate.truth.tables import records_csv, rows
from evaluate.truth.verdict import Ratios, best_policies, failures, ratios_of
from tests.evaluate.truth.simulator.by_hand import on_server, scenario


def record(index: int, predicted_s: float | None, experienced_s: float | None) -> TruthRecord:
    played = Record(index, 2.0, 3.0, 0.5, 0.5, 1e-3, 1, False, (0,))
    return TruthRecord(played, predicted_s, experienced_s, 10.0, 1.0, 2.0, 0.25, (0.5, 1.5))


def test_ratios_are_the_models_delay_over_the_simulations() -> None:
    records = [record(i, ratio * 2.0, 2.0) for i, ratio in enumerate((0.8, 0.95, 1.0, 1.05, 1.1))] + [
        record(5, None, None)
    ]
    found = ratios_of(records)
    assert (found.ratio_median, found.within, found.scenarios) == (pytest.approx(1.0), pytest.approx(0.8), 5)
    assert (found.ratio_q10, found.ratio_q90) == (pytest.approx(0.86), pytest.approx(1.08))
    assert math.isnan(records[-1].ratio)
    with pytest.raises(ValueError, match="no query ended"):
        ratios_of(records[-1:])


def test_the_best_policy() -> None:
    # Scenario 0: the same. 1: the model takes `b`, which is 10 % slower. 2: equal plans. 3: no delays.
    records = {
        "a": [record(0, 1.0, 1.0), record(1, 2.1, 2.0), record(2, 1.0, 1.0), record(3, None, None)],
        "b": [record(0, 2.0, 2.0), record(1, 2.0, 2.2), record(2, 1.0, 1.0), record(3, 1.0, 1.0)],
    }
    assert best_policies(records) == (pytest.approx(2 / 3), pytest.approx(0.1 / 3))
    assert best_policies({"a": [record(0, None, None)]}) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("median", "within", "same", "says"),
    [
        (1.03, 0.9, 0.95, []),
        (0.97, 1.0, 1.0, []),
        (1.031, 0.9, 0.95, ["p: the median ratio is 1.031"]),
        (0.969, 0.9, 0.95, ["p: the median ratio is 0.969"]),
        (1.0, 0.89, 0.95, ["p: 89% of the scenarios are within 10%"]),
        (1.0, 0.9, 0.94, ["the best policy is the same in 94% of the scenarios"]),
    ],
)
def test_bounds(median: float, within: float, same: float, says: list[str]) -> None:
    found = failures({"p": Ratios(median, 0.9, 1.1, within, 10)}, same)
    assert len(found) == len(says)
    assert all(line.startswith(start) for line, start in zip(found, says, strict=True))


def outcome(**changes: object) -> Outcome:
    """Two users: queries of 4 and 1 s of user 0 at 1 Hz, and one of 2 s of user 1 at 3 Hz; then an abandoned one."""
    columns: dict[str, object] = {
        "user": np.array([0, 1, 0, 1]),
        "start_s": np.array([0.0, 1.0, 4.0, 5.0]),
        "end_s": np.array([4.0, 3.0, 5.0, np.nan]),
        "until_s": np.array([4.0, 5.0, 7.0, 6.0]),
        "rate_hz": np.array([1.0, 3.0, 1.0, 3.0]),
        "uploads": (),
        "choices": (),
        "present_s": np.zeros((2, 5)),
        "busy_s": np.zeros(5),
        "work": np.zeros((2, 5)),
        "weight_bytes": np.zeros(2),
        "expected_frames": np.array([7.0, 1.0]),
        "horizon_s": 7.0,
    }
    return Outcome(**{**columns, **changes})  # type: ignore[arg-type]


def test_users_weigh_by_rate_and_queries_by_the_time_to_the_next() -> None:
    # (1 * 4 * 4 + 3 * 4 * 2 + 1 * 3 * 1) / (4 + 12 + 3)
    found = outcome()
    assert found.weights.tolist() == [4.0, 12.0, 3.0, 0.0]
    assert found.experienced_delay_s == pytest.approx(43.0 / 19.0)
    assert found.user_experienced_delay_s.tolist() == pytest.approx([19.0 / 7.0, 2.0])
    assert found.abandoned_weights.tolist() == [0.0, 0.0, 0.0, 3.0]
    assert found.num_finished == 3
    assert found.frames_skipped.tolist() == [5.0, 0.0]
    assert math.isnan(outcome(end_s=np.full(4, np.nan)).experienced_delay_s)


def test_a_scenario_in_both() -> None:
    # Two users who never leave the server: in the model and in the simulation, 2 s each.
    played = record(3, None, None).played
    found = compared(played, scenario([on_server(1.0), on_server(1.0)], 9.0), Plan(), seed=0, repetitions=2)
    assert (found.predicted_s, found.experienced_s) == (pytest.approx(2.0), pytest.approx(2.0, rel=1e-3))
    assert (found.scenario, found.queries, found.abandoned, found.abandoned_share) == (3, 10.0, 0.0, 0.0)
    assert found.user_ratios == pytest.approx([1.0, 1.0], rel=1e-3)


def test_who_stays_on_its_device_has_no_ratio_of_its_own() -> None:
    found = compared(
        record(0, None, None).played, scenario([on_server(1.0), on_server(9.0, device_s=1.5)], 9.0), Plan(), 0, 1
    )
    assert found.user_ratios == pytest.approx([1.0], rel=1e-3)
    assert found.ratio == pytest.approx(1.0, rel=1e-3)


def test_a_scenario_in_which_no_query_ends() -> None:
    leaving = on_server(5.0, [1.0, 0.0])
    found = compared(record(0, None, None).played, scenario([leaving], 9.0, slots=(0.0, 4.0)), Plan(), 0, 1)
    assert (found.predicted_s, found.experienced_s, found.abandoned, found.abandoned_share) == (None, None, 1.0, 1.0)
    assert records_csv({"p": [found]}).splitlines()[1].startswith("p,0,2.0,,,,1.0,1.0,1.0,")


def test_rows_of_the_table() -> None:
    records = {"p": [record(0, 1.0, 2.0), record(1, None, None)]}
    assert rows(records, {"p": ratios_of(records["p"])}) == [
        ("p", "1.000", "2.000", "0.500", "0.500", "0.500", "0%", "0.50 - 1.50")
    ]
