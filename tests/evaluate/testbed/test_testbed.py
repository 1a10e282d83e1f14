"""The command, with a small network for some seconds: tolerances are wide, as the machine that runs tests is busy."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from dnnmig_env.networks.measured_profile import read_profile
from dnnmig_env.scenarios.file import load_scenario
from evaluate.__main__ import main
from tests.evaluate.figures import assert_nothing_is_cut_off, drawn_figures

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
SMALL = EXAMPLES / "testbed_small.yaml"


def changed(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    """Return the small scenario with some of its text replaced."""
    text = SMALL.read_text().replace("testbed_small.json", str(EXAMPLES / "testbed_small.json"))
    for old, new in changes:
        assert re.search(old, text), old
        text = re.sub(old, new, text)
    file = tmp_path / "scenario.yaml"
    file.write_text(text)
    return file


def run(out: Path, file: Path, *more: str, policies: str = "front-to-back") -> int:
    return main(["testbed", "--scenario-file", str(file), "--policies", policies, "--out", str(out), *more])


def test_a_plan_takes_about_as_long_as_predicted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "results"
    file = changed(tmp_path, ("horizon_s: 6", "horizon_s: 4"), ("up_mbps: 24", "up_mbps: 40"))
    figures = drawn_figures(monkeypatch)
    assert run(out, file) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "config.json",
        "delays.png",
        "profile-0-small.json",
        "queries.csv",
        "scenario.yaml",
        "table.md",
        "testbed.json",
        "uploads.csv",
    ]
    found = json.loads((out / "testbed.json").read_text())["front-to-back"]
    assert found["wrong_results"] == 0
    for figure in figures:
        assert_nothing_is_cut_off(figure)
    assert found["measured_s"] == pytest.approx(found["retold_s"], rel=0.5)
    assert found["measured_s"] > 0.9 * found["predicted_s"]  # nothing can be faster than it is paced
    assert sum(part["measured"] for part in found["parts_s"].values()) == pytest.approx(found["measured_s"])
    arrived = [row for row in found["uploads"] if row["measured_s"] and row["predicted_s"]]
    assert len(arrived) >= 3
    for row in arrived:
        assert row["measured_s"] == pytest.approx(row["predicted_s"], rel=0.3, abs=0.3)
    queries = list(csv.DictReader((out / "queries.csv").read_text().splitlines()))
    assert len(queries) == found["queries"] > 5
    assert {row["result_is_right"] for row in queries} == {"True"}
    assert float(queries[-1]["delay_s"]) < float(queries[0]["delay_s"])  # what was uploaded makes queries faster
    profile = read_profile(out / "profile-0-small.json")
    scenario = load_scenario(out / "scenario.yaml")  # with the measured seconds, so that others can play it, too
    assert scenario.execution_s[0][:, 0] == pytest.approx([20 * (layer.wall_s or 0.0) for layer in profile.layers])
    assert "front-to-back" in capsys.readouterr().out
    assert json.loads((out / "config.json").read_text())["config"]["seed"] == 1


@pytest.mark.parametrize(
    ("policies", "says"),
    [
        ("random", "--policies has 'random'; a testbed carries out plans that are made once"),
        ("ionn@replan", "--policies has 'ionn@replan'"),
        ("frnt-to-back", "did you mean 'front-to-back'"),
        ("ionn,ionn", "twice"),
    ],
)
def test_only_planners_are_carried_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], policies: str, says: str
) -> None:
    assert run(tmp_path / "out", SMALL, policies=policies) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and says in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ([("edge: {profile: this-machine, scale: 2}", "edge: {profile: this-machine, scale: 0.2}")], "only slow nodes"),
        ([("scale: 20", "scle: 20")], "unknown key 'scle'; did you mean 'scale'?"),
        ([("this-machine", "that-machine")], "there is no profile 'that-machine'"),
        ([("horizon_s: 6", "horizon_s: 6\nuplink: independent")], "in a testbed weights give way to query data"),
        (
            [(r"\Z", "mobility: {users: {phone: {positions_m: [1, 2]}}}\n")],
            "mobility is given, but in a testbed all users share one cell",
        ),
        ([("network: .*", "network: resnet18 # "), ("max_layers: 8", "max_layers: 4")], "cannot import torchvision"),
        (
            [
                (
                    r"servers:\n",
                    "".join(
                        [
                            "servers:\n",
                            *(f"  - {{name: s{n}, flops_per_s: 5e9, memory_bytes_per_s: 2e9}}\n" for n in range(90)),
                        ]
                    ),
                ),
                ("users:", "default_link: {up_mbps: 10}\nusers:"),
            ],
            "the scenario has 92 devices and servers, a process each; this machine with",
        ),
    ],
    ids=["too-fast", "key", "profile", "uplink", "mobility", "torchvision", "processes"],
)
def test_what_a_testbed_cannot_do_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: list[tuple[str, str]], says: str
) -> None:
    assert run(tmp_path / "out", changed(tmp_path, *changes)) == 2
    *warnings, error = capsys.readouterr().err.strip().splitlines()
    assert error.startswith("error: ") and says in error
    assert all(line.startswith("warning: the load average") for line in warnings)
    assert not (tmp_path / "out").exists()


def test_a_seed_is_not_negative(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "out", SMALL, "--seed", "-1") == 2
    assert "--seed is -1" in capsys.readouterr().err


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    assert run(tmp_path, SMALL) == 2
    assert "not empty" in capsys.readouterr().err


def test_other_commands_do_not_measure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scenario-file", str(SMALL), "--policies", "ionn", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "users[0].profile.device: 'this-machine' is measured by `python -m evaluate testbed`" in error
