"""The study of cold starts: its cases against the simulator, what must hold of them, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.planners.mjoa_mu.pbt_dp import best_placement
from agents.planners.slot_zero import movable_layers, slot_zero_packed
from dnnmig_env.networks.zoo import load_prepared
from dnnmig_env.scenarios.scenario import Scenario, User
from dnnmig_env.simulation.plan import plan_of
from dnnmig_env.simulation.simulator import simulate
from evaluate.__main__ import main
from evaluate.papers.mjoa_mu import users
from evaluate.papers.mjoa_mu.cases import BASELINES, HORIZON_S, access, cases, device_node, edge_node
from evaluate.papers.mjoa_mu.config import MjoaMuConfig
from evaluate.papers.mjoa_mu.users import (
    ACCESS_MBPS,
    BASELINE,
    METHODS,
    MJOA_MU,
    Started,
    UsersStudy,
    delays_s,
    studies,
)
from tests.evaluate.figures import assert_nothing_is_cut_off, drawn_figures
from tests.strategies import Sizes, random_case

NETWORKS = ("alexnet", "bert_mini")
SMALL = ["--networks", *NETWORKS, "--layers", "8", "--mbps", "20", "160", "--edge-tflops", "1", "--device-gflops", "2"]
SMALL += ["--users", "2", "--scenarios", "3"]


def scenario_of(*mbps: float, network: str = "resnet50", layers: int = 12) -> Scenario:
    users = tuple(User(f"user-{u}", load_prepared(network, layers), device_node(2e9)) for u in range(len(mbps)))
    return Scenario(users, (edge_node(1e12),), access(mbps), HORIZON_S)


def test_a_cases_delays_are_those_of_the_simulator() -> None:
    scenario = scenario_of(80.0)
    (case,) = cases(["resnet50"], 12, [80.0], [1e12], [2e9])
    p, movable = slot_zero_packed(scenario), movable_layers(scenario)[0]
    placed, _ = best_placement(p, 1, movable, np.inf)
    timeline = simulate(scenario, plan_of((0, int(v), 1) for v in np.flatnonzero(placed)))
    assert case.parallel_s == pytest.approx(timeline.cold_start_delay_s[0])
    assert case.serial_same_s == pytest.approx(timeline.serial_cold_start_delay_s[0])
    assert case.device_s == pytest.approx(simulate(scenario, plan_of([])).cold_start_delay_s[0])
    assert 0 < case.uploaded < 1
    assert case.reduction("device") == pytest.approx(1 - case.parallel_s / case.device_s)


def test_the_setting_of_a_case_by_hand() -> None:
    links = access([8.0])
    assert np.asarray(links.up_bytes_per_s).ravel().tolist() == [1e6]
    assert links.up_latency_s == 0.005
    # The slowest device has the slowest memory and the longest overhead, the fastest one the fastest and the shortest.
    slow, fast = device_node(1e9), device_node(20e9)
    assert (slow.memory_bytes_per_s, slow.layer_overhead_s) == (pytest.approx(5e9), pytest.approx(100e-6))
    assert (fast.memory_bytes_per_s, fast.layer_overhead_s) == (pytest.approx(30e9), pytest.approx(20e-6))
    assert edge_node(2e12).memory_bytes_per_s == pytest.approx(900e9)


def test_reductions_are_the_greatest_of_a_scenario_and_of_a_user() -> None:
    baseline = np.array([[2.0, 4.0], [1.0, 3.0]])
    delays = {name: baseline for name in METHODS} | {MJOA_MU: np.array([[1.0, 4.0], [0.8, 0.6]])}
    figures = UsersStudy((10.0, 160.0), 2, delays, seed=1).figures()[MJOA_MU]
    assert figures["mean_delay_s"] == pytest.approx(1.6)
    assert figures["greatest_reduction_of_total"] == pytest.approx(1 - 1.4 / 4.0)  # of the second scenario
    assert figures["greatest_reduction_of_a_user"] == pytest.approx(1 - 0.6 / 3.0)


def test_parallel_uploading_never_loses_and_saves_more_where_the_baseline_is_worse() -> None:
    for case in cases(NETWORKS, 12, [20.0, 160.0], [0.2e12, 2e12], [2e9]):
        reductions = {baseline: case.reduction(baseline) for baseline in BASELINES}
        assert all(share >= -1e-9 for share in reductions.values())
        assert reductions["serial"] == min(reductions.values())
        assert reductions["serial_same"] < 0.5


def test_no_chain_saves_more_than_half_of_the_same_placement() -> None:
    saved = []
    for seed in range(300):
        sizes = Sizes(users=1, layers=10, servers=1, slots=1, chain=True, outages=False, absences=False, uploaded=False)
        scenario, plan = random_case(seed, sizes)
        layers = sorted(layer for upload in plan.uploads for layer in upload.layers)
        timeline = simulate(scenario, plan_of((0, layer, 1) for layer in layers))
        saved.append(1 - timeline.cold_start_delay_s[0] / timeline.serial_cold_start_delay_s[0])
    assert max(saved) <= 0.5
    assert max(saved) > 0.3


def test_one_user_has_nobody_to_share_with() -> None:
    delays = delays_s(scenario_of(80.0))
    assert delays["parallel, equal"] == pytest.approx(delays[MJOA_MU], rel=0.01)  # of different beams
    assert delays[BASELINE] == pytest.approx(delays["serial, ARA"], rel=0.01)


def test_aras_shares_are_better_than_equal_ones_for_unlike_users() -> None:
    unlike = scenario_of(20.0, 300.0)
    unlike = replace(unlike, users=(unlike.users[0], replace(unlike.users[1], device=device_node(1e9))))
    delays = delays_s(unlike)
    for way in ("serial", "parallel"):
        assert delays[f"{way}, ARA"].sum() < delays[f"{way}, equal"].sum()
    assert delays[MJOA_MU].sum() < delays["serial, ARA"].sum()


def test_figures_of_several_users() -> None:
    found = list(studies([2], 3, 0, NETWORKS, 8, (1e12, 1e12), (2e9, 4e9)))
    assert [study.mbps for study in found] == list(ACCESS_MBPS)
    for study in found:
        delays, figures = study.delays_s, study.figures()
        assert set(figures) == set(METHODS)
        saved = 1 - delays[MJOA_MU].sum(axis=1) / delays[BASELINE].sum(axis=1)
        assert figures[MJOA_MU]["greatest_reduction_of_total"] == pytest.approx(saved.max())
        ratio = delays[MJOA_MU].sum() / delays[BASELINE].sum()
        assert figures[MJOA_MU]["relative_to_baseline"] == pytest.approx(ratio)
        assert figures[BASELINE]["relative_to_baseline"] == 1.0


def test_every_scenario_is_measured_once_and_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[Scenario] = []

    def noted(scenario: Scenario) -> Started:
        measured.append(scenario)
        return Started({name: (float(len(measured)),) * len(scenario.users) for name in METHODS})

    monkeypatch.setattr(users, "_started", noted)
    found = list(studies([1, 2], 3, 0, NETWORKS, 8, (1e12, 1e12), (2e9, 4e9)))
    assert [study.delays_s[MJOA_MU][:, 0].tolist() for study in found] == [
        [1, 2, 3],
        [4, 5, 6],
        [7, 8, 9],
        [10, 11, 12],
    ]
    assert [len(scenario.users) for scenario in measured] == [1] * 3 + [2] * 3 + [1] * 3 + [2] * 3
    assert len({scenario.users[0].device.flops_per_s for scenario in measured}) == len(measured)


def test_files_say_what_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = drawn_figures(monkeypatch)
    assert main(["mjoa-mu", "--out", str(tmp_path / "out"), *SMALL]) == 0
    result = json.loads((tmp_path / "out" / "mjoa_mu.json").read_text())
    assert len(result["one_user"]) == 4
    assert [(study["users"], study["mbps"]) for study in result["several_users"]] == [
        (2, [10.0, 160.0]),
        (2, [100.0, 1000.0]),
    ]
    text, printed = (tmp_path / "out" / "table.md").read_text(), capsys.readouterr().out
    for line in result["findings"]:
        assert line in text
        assert line in printed
    assert any("64.5%" in line for line in result["findings"])
    assert (tmp_path / "out" / "mjoa_mu.png").read_bytes().startswith(b"\x89PNG")
    for figure in figures:
        assert_nothing_is_cut_off(figure)
    assert result["config"]["seed"] == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--networks", "alexnte"], "did you mean 'alexnet'"),
        (["--mbps", "0"], "--mbps is (0.0,); give positive numbers"),
        (["--users", "0"], "--users is (0,); it must be at least 1"),
        (["--layers", "0"], "--layers is 0; it must be at least 1"),
        (["--scenarios", "0"], "--scenarios is 0"),
    ],
)
def test_a_users_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["mjoa-mu", "--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_nothing_to_measure_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--edge-tflops is empty"):
        MjoaMuConfig(tmp_path, edge_tflops=()).check()
