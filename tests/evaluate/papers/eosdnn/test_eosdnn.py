from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from agents.planners.exact.placement import exact_placement
from agents.planners.protocol import Placement
from agents.planners.swarms.pso_ga import PsoGa
from dnnmig_env.families.registry import scenarios
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.timelines.timeline import Timeline
from evaluate.__main__ import main
from evaluate.papers.eosdnn import placements
from evaluate.papers.eosdnn.placements import OPTIMUM, PlacementStudy, methods
from evaluate.papers.eosdnn.uploads import UploadStudy, queries_finished, upload_and_compare
from tests.evaluate.figures import assert_nothing_is_cut_off, drawn_figures
from tests.evaluate.papers.shrunk import shrink_eosdnn


def test_the_command_writes_what_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shrink_eosdnn(monkeypatch)
    figures = drawn_figures(monkeypatch)
    out = tmp_path / "out"
    assert main(["eosdnn", "--out", str(out), "--scenarios", "2", "--iterations", "20"]) == 0
    assert {path.name for path in out.iterdir()} == {"eosdnn.json", "table.md", "eosdnn.png"}
    found = json.loads((out / "eosdnn.json").read_text())
    assert found["evaluations"] == 2100
    assert [(study["family"], study["exact"]) for study in found["placements"]] == [
        ("edge-cloud", True),
        ("multi-user", True),
        ("edge-cloud", False),
        ("multi-user", False),
    ]
    for study in found["placements"]:
        methods = study["methods"]
        assert methods["pso-ga"]["relative_to_pso_ga"] == 1.0
        if study["exact"]:
            assert methods[OPTIMUM]["best"] == 1.0
            assert all(figures["excess"] >= -1e-12 for figures in methods.values())
    for study in found["uploads"]:
        methods = study["methods"]
        assert methods["device-only"]["partitions"] == 0
        assert methods["lmu of ionn's placement"]["partitions"] >= methods["ionn"]["partitions"]
    text, printed = (out / "table.md").read_text(), capsys.readouterr().out
    for table in ("edge-cloud, 2 scenarios, full size", "queries during the upload, single, 2 scenarios"):
        assert table in text
        assert table in printed
    assert (out / "eosdnn.png").read_bytes().startswith(b"\x89PNG")
    (figure,) = figures
    assert_nothing_is_cut_off(figure)


def test_a_stopped_command_has_printed_the_studies_that_are_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    delays_s = {"device-only": np.array([2.0, 4.0]), "pso-ga": np.array([1.0, 2.0])}
    finished = PlacementStudy("edge-cloud", False, delays_s, delays_s, 0)

    def stopped(*_: object) -> Iterator[PlacementStudy]:
        yield finished
        raise KeyboardInterrupt

    monkeypatch.setattr("evaluate.papers.eosdnn.eosdnn.place_and_compare", stopped)
    assert main(["eosdnn", "--out", str(tmp_path / "out"), "--scenarios", "2"]) == 130
    printed = capsys.readouterr().out
    assert finished.title in printed
    assert "1.500" in printed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--scenarios", "0"], "--scenarios is 0; it must be at least 1"),
        (["--seed", "-1"], "--seed is -1; it must be at least 0"),
        (["--iterations", "0"], "--iterations is 0; it must be at least 1"),
    ],
)
def test_a_users_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["eosdnn", "--out", str(tmp_path / "out"), *arguments]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_searches_differ_in_what_their_names_say() -> None:
    found = methods(iterations=7, exact=False)
    runs, plain = (cast(PsoGa, found[name]) for name in ("pso-ga from runs", "pso-ga"))
    assert (runs.mean_run, plain.mean_run) == (16.0, 1.0)
    assert runs == replace(plain, mean_run=16.0)
    assert (plain.iterations, plain.patience) == (7, 7)
    assert OPTIMUM in methods(iterations=7, exact=True)
    assert OPTIMUM not in found


def test_every_scenario_has_random_numbers_of_its_own() -> None:
    drawn = scenarios("single", 3, seed=1, max_layers=2)
    numbers = []

    def planner(scenario: Scenario, rng: np.random.Generator) -> Placement:
        numbers.append(float(rng.random()))
        return tuple(np.array(user.uploaded, np.int8) for user in scenario.users)

    placements._study("single", drawn, 5, {"first": planner, "second": planner}, False)
    first, second = numbers[1:4], numbers[5:]  # each is called once more at first, to compile
    assert len(set(first)) == 3
    assert first == second  # and every method the same ones


def test_every_scenario_is_uploaded_with_random_numbers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = []

    def plans(scenario: Scenario, rng: np.random.Generator) -> dict[str, Plan]:
        numbers.append(float(rng.random()))
        return {"ionn": Plan()}

    monkeypatch.setattr("evaluate.papers.eosdnn.uploads._plans", plans)
    list(upload_and_compare(3, 1))
    assert len(set(numbers)) == 3 and len(numbers) == 9


def test_placement_figures_by_hand() -> None:
    delays_s = {
        "device-only": np.array([4.0, 8.0]),
        "pso-ga": np.array([1.0, 5.0]),
        "optimum": np.array([1.0, 4.0]),
    }
    study = PlacementStudy("edge-cloud", True, delays_s, {name: np.full(2, 0.5) for name in delays_s}, seed=0)
    figures = study.figures()
    assert list(figures) == ["optimum", "pso-ga", "device-only"]
    assert figures["pso-ga"]["excess"] == pytest.approx((0.0 + 0.25) / 2)
    assert figures["pso-ga"]["best"] == 0.5
    assert figures["optimum"]["relative_to_pso_ga"] == pytest.approx(5.0 / 6.0)
    assert figures["optimum"]["planning_s"] == 0.5


def test_upload_figures_by_hand() -> None:
    delays_s = {"ionn": np.array([2.0, 4.0]), "lmu": np.array([1.0, 4.0])}
    queries = {"ionn": np.array([5.0, 3.0]), "lmu": np.array([9.0, 3.0])}
    study = UploadStudy("single", delays_s, queries, {name: np.array([2.0, 4.0]) for name in delays_s}, seed=0)
    lmu = study.figures()["lmu"]
    assert lmu["relative_to_ionn"] == pytest.approx(5.0 / 6.0)
    assert lmu["faster"] == 0.5
    assert lmu["queries_relative_to_ionn"] == pytest.approx(1.5)
    assert lmu["partitions"] == 3.0


def test_queries_back_to_back_count_until_the_horizon() -> None:
    # 4 s each from time 0, 1 s each from 5 s on: they begin at 0 and 4 s, then at 8 and 9 s; at 10 s all is over. The
    # second user's take 3 s all along and begin at 0, 3, 6 and 9 s.
    timeline: Any = SimpleNamespace(
        event_time_s=np.array([0.0, 5.0]),
        event_delay_s=np.array([[4.0, 3.0], [1.0, 3.0]]),
        scenario=SimpleNamespace(horizon_s=10.0),
    )
    assert queries_finished(cast(Timeline, timeline)) == 8.0


@pytest.mark.parametrize("family", placements.SMALL)
def test_the_small_scenarios_of_the_command_can_be_solved_exactly(family: str) -> None:
    for scenario in scenarios(family, 12, seed=1, **placements.SMALL[family]):
        exact_placement(scenario, np.random.default_rng(0))  # raises where it would have to try too many
