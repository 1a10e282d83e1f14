"""`python -m evaluate --set` and `benchmark`: gaps are against the best known, and nothing is entered unchecked."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dnnmig_env.files.command_line import UnmetError
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.simulator import simulate
from evaluate.__main__ import main
from evaluate.benchmark.benchmark import benchmark
from evaluate.benchmark.config import BenchmarkConfig
from evaluate.benchmark.entries import add_results
from evaluate.benchmark.leaderboard import PAGE, leaderboard, load_entries
from evaluate.compare.reading import read_evaluation
from evaluate.compare.replaying import saved_scenarios
from evaluate.sets.best_known import load_best, save_best
from evaluate.sets.frozen import FOLDER, SUMS, load_set

pytestmark = pytest.mark.usefixtures("quick_pictures")

NAME = "single-v1"


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results in the first four scenarios."""
    out = tmp_path_factory.mktemp("some") / "out"
    words = ["--set", NAME, "--scenarios", "4", "--policies", "front-to-back,random", "--save-plans"]
    assert main([*words, "--out", str(out)]) == 0
    return out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one set of which nothing is known."""
    place = tmp_path / "benchmarks"
    place.mkdir()
    shutil.copy(FOLDER / f"{NAME}.tar.xz", place)
    line = next(line for line in (FOLDER / SUMS).read_text().splitlines() if line.endswith(f" {NAME}.tar.xz"))
    (place / SUMS).write_text(line + "\n")
    return place


def rows_of(results: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((results / "records.csv").read_text().splitlines()))


def test_gaps_are_against_the_best_known(some: Path) -> None:
    summary, best = json.loads((some / "summary.json").read_text()), load_best(NAME)
    assert summary["set"] == {"name": NAME, "sha256": load_set(NAME, 1).sha256} and summary["seed"] is None
    for policy in ("front-to-back", "random"):
        rows = [row for row in rows_of(some) if row["policy"] == policy]
        assert [row["scenario_file"] for row in rows] == [f"{number:03}.json" for number in range(4)]
        ratios = [float(row["mean_delay_s"]) / best[row["scenario_file"]].mean_delay_s for row in rows]
        assert min(ratios) >= 1.0 and max(ratios) > 1.01
        assert summary["policies"][policy]["gap_to_best_known"] == pytest.approx(np.mean(ratios) - 1.0)
        assert [row["won"] for row in rows] == [str(int(ratio <= 1 + 1e-9)) for ratio in ratios]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--set", "singel-v1"], "did you mean 'single-v1'"),
        (["--set", NAME, "--scenarios", "101"], "--scenarios is 101, but the set single-v1 has 100"),
        (["--set", NAME, "--family", "single"], "--family says how to draw scenarios, but --set gives them"),
        (["--set", NAME, "--scenario-file", "a.yaml"], "both give scenarios"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--policies", "random", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_the_better_plan_of_each_scenario_is_kept(some: Path, folder: Path) -> None:
    added = add_results(some, folder)
    assert added.name == NAME and added.entries == []  # only some scenarios were played
    best = load_best(NAME, folder)
    for number in range(4):
        delays_s = {
            row["policy"]: float(row["mean_delay_s"]) for row in rows_of(some) if row["scenario"] == str(number)
        }
        winner = min(delays_s, key=lambda policy: delays_s[policy])
        found = best[f"{number:03}.json"]
        assert (found.policy, found.mean_delay_s) == (winner, delays_s[winner])
    assert set(add_results(some, folder).improved.values()) == {0}
    assert load_best(NAME, folder) == best
    save_best(NAME, load_best(NAME), folder)  # joint-efficiency is better throughout
    assert set(add_results(some, folder).improved.values()) == {0}


def test_saved_scenarios_of_a_set_are_those_of_the_set(some: Path) -> None:
    saved, frozen = saved_scenarios(read_evaluation(some)), load_set(NAME, 4).scenarios
    assert [simulate(each, Plan()).mean_delay_s for each in saved] == [
        simulate(each, Plan()).mean_delay_s for each in frozen
    ]


def test_results_are_not_believed(some: Path, folder: Path, tmp_path: Path) -> None:
    def changed(name: str, old: str, new: str) -> Path:
        copy = tmp_path / f"copy-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(some, copy)
        text = (copy / name).read_text()
        assert old in text
        (copy / name).write_text(text.replace(old, new))
        return copy

    sha256 = load_set(NAME, 1).sha256
    delay = next(row["mean_delay_s"] for row in rows_of(some) if row["policy"] == "random")
    summary = json.loads((some / "summary.json").read_text())
    other = json.dumps(summary["set"]["name"])
    wrong = [
        (changed("summary.json", sha256, "0" * 64), "was another one then"),
        (changed("records.csv", delay, str(0.9 * float(delay))), "records.csv says"),
        (changed("summary.json", other, '"multi-user-v1"'), "no set 'multi-user-v1'"),
        (changed("summary.json", '"objective": "mean-delay"', '"objective": "cold-start"'), "cold-start"),
    ]
    plans = changed("summary.json", "{", "{")
    shutil.rmtree(plans / "plans")
    for results, says in [*wrong, (plans, "no plans"), (folder, "name a folder that python -m evaluate has written")]:
        with pytest.raises(ValueError, match=says):
            add_results(results, folder)
    assert load_best(NAME, folder) == {}


def test_the_leaderboard_ranks_those_who_played_all(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["--set", NAME, "--policies", "device-only,front-to-back", "--save-plans", "--out", str(out)]
    assert main(words) == 0
    save_best(NAME, load_best(NAME), folder)
    benchmark(BenchmarkConfig("add", (str(out),)), folder)
    page = (folder / PAGE).read_text()
    lines = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")]
    assert [line[0] for line in lines[2:]] == ["| front-to-back", "| device-only"]
    best_s = np.array([each.mean_delay_s for each in load_best(NAME).values()])
    assert f"Best known mean delay {best_s.mean():.4g} s" in page
    entry = load_entries(folder)[NAME]["front-to-back"]
    assert lines[2][4] == f"{np.mean(np.array(entry.delays_s) / best_s) - 1:+.1%}"
    assert lines[3][3] == "1.000"
    rows = rows_of(out)  # whatever the table says of devices, plans tell how long queries take on them
    for row in rows:
        row["device_only_s"] = "1.0"
    with (out / "records.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    benchmark(BenchmarkConfig("add", (str(out),)), folder)
    assert (folder / PAGE).read_text() == page


def test_the_page_is_that_of_the_entries() -> None:
    assert (FOLDER / PAGE).read_text(encoding="utf-8") == leaderboard(load_entries())


def test_check_replays_every_plan(some: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_results(some, folder)
    benchmark(BenchmarkConfig("check"), folder)
    assert "100 scenarios as frozen, 4 best known plans replayed" in capsys.readouterr().out
    best = load_best(NAME, folder)
    best["000.json"], best["001.json"] = best["001.json"], best["000.json"]
    save_best(NAME, best, folder)
    with pytest.raises((UnmetError, ValueError)):
        benchmark(BenchmarkConfig("check", (NAME,)), folder)
    for action in ("add", "freeze"):
        with pytest.raises(ValueError, match="names nothing"):
            benchmark(BenchmarkConfig(action), folder)  # type: ignore[arg-type]
