"""`python -m evaluate --save-plans`: every plan replays to the very delay that the policy had."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from dnnmig_env.__main__ import main as problem
from dnnmig_env.scenarios.file import load_scenario
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.plan_file import load_plan
from dnnmig_env.simulation.simulator import simulate
from evaluate.__main__ import main
from evaluate.compare.plan_files import folder_names
from evaluate.compare.reading import read_evaluation
from evaluate.compare.replaying import saved_scenarios
from evaluate.output.journal import JOURNAL, Journal

pytestmark = pytest.mark.usefixtures("quick_pictures")

EXAMPLES = Path(__file__).parents[3] / "examples"


def delays_in(out: Path) -> dict[tuple[str, int], float]:
    rows = csv.DictReader((out / "records.csv").read_text().splitlines())
    return {(row["policy"], int(row["scenario"])): float(row["mean_delay_s"]) for row in rows}


@pytest.mark.parametrize("family", ["toy", "single", "edge-cloud", "multi-user", "mobile", "city"])
def test_a_plan_replays_to_the_very_same_delay(family: str, tmp_path: Path) -> None:
    policies, count = ("random", "front-to-back@replan"), 1 if family == "city" else 2
    words = ["--family", family, "--scenarios", str(count), "--policies", ",".join(policies), "--seed", "3"]
    out = tmp_path / "out"
    assert main([*words, "--save-plans", "--out", str(out)]) == 0
    layers: list[dict[str, Any]] = []
    for (policy, number), delay_s in delays_in(out).items():
        path = out / "plans" / policy / f"{number}.json"
        scenario = load_scenario(out / "scenarios" / f"{number}.json")
        saved = load_plan(path, scenario)
        assert simulate(scenario, saved.plan).mean_delay_s == saved.mean_delay_s == delay_s
        assert saved.policy == policy
        layers += [layer for move in json.loads(path.read_text())["moves"] for layer in move["layers"]]
    assert len(list((out / "plans").rglob("*.json"))) == len(policies) * count
    assert layers
    if family in ("mobile", "city"):
        assert any(layer.get("source", "device") != "device" for layer in layers), "no server sends anything"
        assert any(not layer.get("arrives", True) for layer in layers), "nothing is broken off"


def test_plans_of_scenario_files_fit_these_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(EXAMPLES / "two_cells.yaml")
    words = ["--scenario-file", file, "--policies", "joint-efficiency", "--decisions", "joint", "--save-plans"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert not (tmp_path / "out" / "scenarios").exists()
    plan = str(tmp_path / "out" / "plans" / "joint-efficiency" / "0.json")
    assert problem(["simulate", "--scenario", file, "--plan", plan]) == 0
    other = str(EXAMPLES / "one_phone.yaml")
    capsys.readouterr()
    assert problem(["simulate", "--scenario", other, "--plan", plan]) == 2
    assert "plan of another scenario, with a user 'walker'" in capsys.readouterr().err


def test_plans_of_two_phases_replay_too(tmp_path: Path) -> None:
    words = ["--family", "edge-cloud", "--scenarios", "3", "--policies", "random", "--decisions", "two-phase"]
    out = tmp_path / "out"
    assert main([*words, "--save-plans", "--out", str(out)]) == 0
    for (policy, number), delay_s in delays_in(out).items():
        scenario = load_scenario(out / "scenarios" / f"{number}.json")
        assert load_plan(out / "plans" / policy / f"{number}.json", scenario).mean_delay_s == delay_s


def test_without_the_option_nothing_is_saved(tmp_path: Path) -> None:
    assert main(["--family", "toy", "--scenarios", "1", "--policies", "random", "--out", str(tmp_path / "out")]) == 0
    assert not [path for path in (tmp_path / "out").iterdir() if path.is_dir()]


def test_plans_and_report_of_an_earlier_evaluation_do_not_stay_beside_the_results_of_another(tmp_path: Path) -> None:
    out, words = tmp_path / "out", ["--family", "single", "--policies", "random", "--out", str(tmp_path / "out")]
    assert main([*words, "--scenarios", "3", "--save-plans"]) == 0
    (out / "report.html").write_text("of three scenarios")
    (out / "notes.txt").write_text("mine")
    assert main([*words, "--scenarios", "2", "--overwrite", "--save-plans"]) == 0
    kept = {"scenarios/0.json", "scenarios/1.json", "plans/random/0.json", "plans/random/1.json", "notes.txt"}
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {name for name in files if "/" in name or name in ("report.html", "notes.txt")} == kept
    # scenarios that are given as files stay, even there
    words = ["--policies", "random", "--scenario-file", str(out / "scenarios" / "1.json"), "--out", str(out)]
    assert main([*words, "--overwrite"]) == 0
    assert not (out / "plans").exists() and len(list((out / "scenarios").iterdir())) == 2
    (one,), files = saved_scenarios(read_evaluation(out)), [out / "scenarios" / f"{number}.json" for number in (0, 1)]
    first_s, given_s = (simulate(load_scenario(file), Plan()).mean_delay_s for file in files)
    assert simulate(one, Plan()).mean_delay_s == given_s != first_s  # not the first of those that lie there


def test_a_stopped_evaluation_goes_on_with_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--family", "toy", "--scenarios", "3", "--policies", "random", "--out", str(tmp_path / "out")]
    add = Journal.add

    def stop(self: Any, name: str, number: int, record: Any) -> None:
        add(self, name, number, record)
        if number == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "add", stop)
        assert main(words) == 130
    assert (tmp_path / "out" / JOURNAL).exists()
    assert main([*words, "--save-plans"]) == 0
    assert len(list((tmp_path / "out" / "plans" / "random").iterdir())) == 3


def test_every_policy_has_a_folder_of_its_own_within_plans() -> None:
    policies = ("joint-efficiency@replan", "runs/quick", "runs_quick", "../", "..", "exact:first_slot=true", "a/" * 90)
    names = folder_names(policies)
    assert names["joint-efficiency@replan"] == "joint-efficiency@replan"
    assert (names["runs/quick"], names["runs_quick"]) == ("runs_quick", "runs_quick-2")
    assert names["exact:first_slot=true"] == "exact_first_slot=true"
    assert len(set(names.values())) == len(policies)
    assert all(len(name) < 110 and not set("/:") & set(name) and name.strip(".") for name in names.values())
