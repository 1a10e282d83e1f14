"""The command `workload`: rules without thought, best known plans, and loads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dnnmig_env.families.registry import scenarios
from dnnmig_env.families.toy import OPTIMAL_DELAY_S, toy_scenario
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan, check_plan
from dnnmig_env.simulation.simulator import simulate
from evaluate.__main__ import main
from evaluate.workload.climb import best_known_delay_s
from evaluate.workload.config import WorkloadConfig
from evaluate.workload.constant_rules import constant_rules, fitting
from evaluate.workload.workload import workload_of


def test_rules_send_everything_that_fits_to_one_server_per_user() -> None:
    for scenario in scenarios("multi-user", 3, seed=1):
        rules = dict(constant_rules(pack([scenario])))
        assert rules["device only"] == Plan()
        for name, plan in rules.items():
            check_plan(scenario, plan)
            for user in range(len(scenario.users)):
                assert len({upload.server for upload in plan.uploads if upload.user == user}) <= 1, name
    by_user = [(upload.user, upload.layers) for upload in rules["all to the last, by user"].uploads]
    assert by_user == sorted(by_user)  # the cloud has room for everything
    in_turn = [(upload.layers, upload.user) for upload in rules["all to the last, in turn"].uploads]
    assert in_turn == sorted(in_turn)
    assert len(in_turn) == sum(int(user.graph.movable.sum()) for user in scenario.users)


def test_what_does_not_fit_is_left_out_and_what_comes_after_it_may_fit() -> None:
    packed = pack([toy_scenario()])  # the edge holds 4 MB; user 0 has layers of 2, 2 and 4 MB, user 1 one of 1 MB
    assert fitting(packed, [(0, 0, 1), (0, 2, 1), (0, 1, 1), (1, 0, 1)]) == [(0, 0, 1), (0, 1, 1)]
    assert fitting(packed, [(0, 2, 1), (1, 0, 1), (1, 0, 2)]) == [(0, 2, 1), (1, 0, 2)]


def test_the_best_known_plan_is_no_worse_than_any_start_and_finds_the_toys_optimum() -> None:
    packed = pack([toy_scenario()])
    starts = [plan for _, plan in constant_rules(packed)]
    best_s = min(best_known_delay_s(packed, starts, np.random.default_rng(seed)) for seed in range(3))
    assert best_s <= min(simulate(toy_scenario(), plan).mean_delay_s for plan in starts)
    assert OPTIMAL_DELAY_S * (1 - 1e-9) <= best_s <= 1.02 * OPTIMAL_DELAY_S


def test_a_workload_says_how_much_longer_rules_take() -> None:
    found = workload_of(toy_scenario(), np.random.default_rng(0))
    device_only_s = simulate(toy_scenario(), Plan()).mean_delay_s
    best_s = device_only_s / found.rules["device only"]
    assert OPTIMAL_DELAY_S * (1 - 1e-9) <= best_s < device_only_s
    assert all(ratio >= 1 for ratio in found.rules.values())
    assert 0 < found.use["device"] <= 1 and 0 < found.use["skipped"] < 1 <= found.use["slowdown"]


def test_the_command_writes_a_table_and_all_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["workload", "--families", "toy,single", "--scenarios", "2", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    result = json.loads((tmp_path / "out" / "workload.json").read_text())
    assert set(result["families"]) == {"toy", "single"}
    assert [len(rows) for rows in result["scenarios"].values()] == [2, 2]
    assert result["families"]["toy"]["rules_near"]["device only"] == 0.0
    assert "frames skipped" in (tmp_path / "out" / "table.md").read_text()
    assert "frames skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"families": "single,single"}, "'single' twice"),
        ({"scenarios": 0}, "--scenarios is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"near": 0.5}, "--near is 0.5"),
        ({"near": float("nan")}, "--near is nan"),
    ],
)
def test_wrong_options(change: dict[str, object], says: str, tmp_path: Path) -> None:
    config = WorkloadConfig(**{"out": tmp_path, **change})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=says):
        _ = config.names
