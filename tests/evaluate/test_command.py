from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dnnmig_env.families.registry import scenarios
from dnnmig_env.scenarios.file import save_scenario
from evaluate.__main__ import main
from evaluate.compare.given import title_of

pytestmark = pytest.mark.usefixtures("quick_pictures")

FILE = str(Path(__file__).parents[2] / "examples" / "one_phone.yaml")
KEYS = {"mean_delay_s", "ci95", "relative_to_device_only", "gap_to_best_known", "wins", "planning_s"}


def run(out: Path, *arguments: str) -> int:
    defaults = {} if "--scenario-file" in arguments else {"--family": "toy", "--scenarios": "4"}
    words = [word for option, value in defaults.items() if option not in arguments for word in (option, value)]
    return main([*words, "--out", str(out), *arguments])


def records_in(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "records.csv").read_text().splitlines()))


def test_files_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "results"
    assert run(out, "--policies", "random,front-to-back", "--seed", "3") == 0
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["family"], summary["scenarios"], summary["seed"]) == ("toy", 4, 3)
    records = records_in(out)
    assert [row["scenario"] for row in records if row["policy"] == "random"] == ["0", "1", "2", "3"]
    for name, figures in summary["policies"].items():
        assert set(figures) >= KEYS
        rows = [row for row in records if row["policy"] == name]
        for column in ("mean_delay_s", "planning_s", "gap_to_best_known"):
            assert figures[column] == pytest.approx(np.mean([float(row[column]) for row in rows]))
        assert figures["wins"] == pytest.approx(np.mean([int(row["won"]) for row in rows]))
        assert figures["ci95"][0] <= figures["mean_delay_s"] <= figures["ci95"][1]
    assert (out / "delays.png").read_bytes().startswith(b"\x89PNG")
    config = json.loads((out / "config.json").read_text())
    assert config["config"]["seed"] == 3
    assert "numpy" in config["versions"]
    assert "front-to-back" in (out / "table.md").read_text()
    assert "front-to-back" in capsys.readouterr().out
    assert [path.name for path in out.parent.iterdir()] == ["results"]


STUBBORN = """
import numpy as np

class Stubborn:
    def __init__(self, env): pass
    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.zeros(len(observation["action_mask"]), np.int64), state
"""


def test_illegal_episodes_are_told_wherever_the_delay_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    monkeypatch.syspath_prepend(str(tmp_path))
    out = tmp_path / "out"
    assert run(out, "--policies", "stubborn:Stubborn,device-only", "--report") == 0
    note = "stubborn:Stubborn: 4 episodes ended by an illegal action."
    assert json.loads((out / "summary.json").read_text())["illegal"] == {"stubborn:Stubborn": 4, "device-only": 0}
    assert (out / "table.md").read_text().endswith(f"\n\n{note}\n")
    assert note in (out / "report.html").read_text() and note in capsys.readouterr().out
    assert "device-only: " not in (out / "table.md").read_text()


def test_a_policy_that_cannot_plan_leaves_the_others_their_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lost.py").write_text("def lost(scenario, rng):\n    raise ValueError('the map is gone')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(tmp_path / "out", "--policies", "device-only,front-to-back,lost:lost") == 2
    printed = capsys.readouterr()
    assert "front-to-back" in printed.out and "1 more policy to" in printed.out and "lost" not in printed.out
    assert "error: policy 'lost:lost' in scenario 0: the map is gone" in printed.err


def test_scenarios_that_are_too_large_for_a_policy_are_named_before_anything_is_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--family", "multi-user", "--scenarios", "1", "--policies"]
    for name in ("exact", "exact@clairvoyant"):
        assert run(tmp_path / "out", *words, f"device-only,{name}") == 2
        printed = capsys.readouterr()
        assert printed.out == "" and not (tmp_path / "out").exists()
        assert f"error: policy '{name}' in scenario 0: exact is for small scenarios" in printed.err


def test_policies_are_compared_by_the_objective(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ranked, records = {}, {}
    for objective in ("mean-delay", "cold-start"):
        out = tmp_path / objective
        arguments = ["--policies", "front-to-back,mjoa-mu,device-only", "--family", "single", "--objective", objective]
        assert run(out, *arguments) == 0
        assert ("cold-start delay" in capsys.readouterr().out) == (objective == "cold-start")
        summary, records[objective] = json.loads((out / "summary.json").read_text()), records_in(out)
        assert summary["objective"] == objective
        column = {"mean-delay": "mean_delay_s", "cold-start": "cold_start_delay_s"}[objective]
        for name, figures in summary["policies"].items():
            rows = [row for row in records[objective] if row["policy"] == name]
            delays, device = ([float(row[key]) for row in rows] for key in (column, "device_only_s"))
            assert figures["mean_delay_s"] == pytest.approx(np.mean(delays))
            assert figures["relative_to_device_only"] == pytest.approx(np.mean(delays) / np.mean(device))
        assert summary["policies"]["device-only"]["relative_to_device_only"] == pytest.approx(1.0)
        lines = (out / "table.md").read_text().splitlines()[2:]
        ranked[objective] = [line.split(" | ")[0].strip("| ") for line in lines]
    # A first query that waits for all layers does not wait for those that only later ones are faster with.
    assert ranked["mean-delay"].index("front-to-back") < ranked["mean-delay"].index("device-only")
    assert ranked["cold-start"] == ["mjoa-mu", "device-only", "front-to-back"]
    for key in ("mean_delay_s", "cold_start_delay_s"):  # both stand in both
        assert [row[key] for row in records["mean-delay"]] == [row[key] for row in records["cold-start"]]


def test_the_same_seed_gives_the_same_delays(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert run(tmp_path / name, "--policies", "random") == 0
    columns = [[row["mean_delay_s"] for row in records_in(tmp_path / name)] for name in ("one", "two")]
    assert columns[0] == columns[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--policies", "frnt-to-back"], "did you mean 'front-to-back'"),
        (["--policies", "random,,random"], "--policies"),
        (["--policies", "random,random"], "twice"),
        (["--policies", "random", "--family", "multi-usr"], "did you mean 'multi-user'"),
        (["--policies", "random", "--scenarios", "0"], "at least 1"),
        (["--policies", "random", "--seed", "-1"], "--seed"),
        (["--policies", "random", "--option", "num_users"], "NAME=VALUE"),
        (["--policies", "random", "--family", "multi-user", "--option", "num_user=4"], "did you mean 'num_users'"),
        (["--policies", "front-to-back@replan", "--decisions", "two-phase"], "joint"),
        (["--policies", "random", "--scenario-file", "absent.yaml"], "absent.yaml"),
        (["--policies", "random", "--scenario-file"], "--scenario-file names nothing; give at least one value"),
        (["--policies", "random", "--seed", "1", "--seed", "2"], "--seed 1 and --seed 2 are both given; keep one"),
        (["--policies", "random", "--option", "a=1", "--option", "a=2"], "--option has 'a' twice"),
        (
            ["--policies", "random", "--networks", "test", "--option", "networks=train"],
            "--networks is test, and --option",
        ),
        (["--policies", "random", "--scenario-file", FILE, "--scenarios", "3"], "--scenarios says how to draw"),
        (["--policies", "random", "--scenario-file", FILE, "--family", "toy"], "--family says how to draw"),
        (["--policies", "random", "--scenario-file", FILE, "--seed", "1"], "or seed the policies by --policy-seed"),
        (["--policies", "random", "--scenario-file", FILE, "--option", "num_users=2"], "--option says how to draw"),
        (["--policies", "random", "--scenario-file", FILE, "--networks", "test"], "--networks says how to draw"),
        (["--policies", "random", "--scenario-file", FILE, FILE], f"--scenario-file has '{FILE}' twice"),
        (["--policies", "pretrained", "--scenario-file", FILE], "the family of the scenario files is 'custom'; name a"),
        (["--policies", "exact", "--scenario-file", FILE.replace("one_phone", "changing_links")], "write exact@replan"),
        (["--policies", "random", "--policy-seed", "-1"], "--policy-seed is -1; it must not be negative"),
    ],
)
def test_a_users_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert run(tmp_path / "out", *arguments) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_kept_unless_told_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    (tmp_path / "summary.json").write_text("old")
    assert run(tmp_path, "--policies", "device-only") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "summary.json").read_text() == "old"
    assert run(tmp_path, "--policies", "device-only", "--overwrite") == 0
    assert (tmp_path / "mine.txt").read_text() == "kept"
    assert json.loads((tmp_path / "summary.json").read_text())["family"] == "toy"


def test_a_file_is_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file", "--policies", "device-only") == 2
    assert "is a file" in capsys.readouterr().err


def test_interruption_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("evaluate.compare.rollout.Arena.roll_out", interrupted)
    assert run(tmp_path / "out", "--policies", "device-only") == 130
    assert "nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_given_scenarios_are_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / f"{index}.json" for index in range(2)]
    for path, scenario in zip(paths, scenarios("edge-cloud", 2, seed=0), strict=True):
        save_scenario(scenario, path)
    drawing, files = (
        ["--family", "edge-cloud", "--scenarios", "2", "--seed", "0"],
        ["--scenario-file", *map(str, paths)],
    )
    for name, arguments in (("drawn", drawing), ("given", files)):
        assert run(tmp_path / name, "--policies", "front-to-back", *arguments) == 0
    rows = [records_in(tmp_path / name) for name in ("drawn", "given")]
    delays = [[float(row["mean_delay_s"]) for row in each] for each in rows]
    assert delays[0] == pytest.approx(delays[1], rel=1e-12)
    assert [[row["scenario_file"] for row in each] for each in rows] == [["", ""], list(map(str, paths))]
    drawn, given = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("drawn", "given"))
    keys = ("family", "seed", "policy_seed", "scenario_files")
    assert [drawn[key] for key in keys] == ["edge-cloud", 0, 0, []]
    assert [given[key] for key in keys] == ["edge-cloud", None, 1, list(map(str, paths))]
    said = capsys.readouterr().out
    assert "edge-cloud: 2 scenarios, seed 0, joint decisions" in said
    assert "2 scenario files (0.json, 1.json), joint decisions" in said


def test_a_title_names_the_set_the_files_or_what_was_drawn() -> None:
    assert title_of(3, 7, "toy") == "toy: 3 scenarios, seed 7"
    assert title_of(1, 7, "toy") == "toy: 1 scenario, seed 7"
    assert title_of(1, 7, "toy", ["a/two.yaml"]) == "two.yaml"
    assert title_of(3, 7, "toy", ["a/1.yaml", "2.yaml", "3.yaml"]) == "3 scenario files (1.yaml, 2.yaml, 3.yaml)"
    assert title_of(9, 7, "toy", [f"{index}.yaml" for index in range(9)]) == "9 scenario files (0.yaml ... 8.yaml)"
    assert title_of(2, 7, "toy", ["0.json", "1.json"], "toy-v1") == "toy-v1: 2 scenarios"


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, contextlib\n"
        "from evaluate.__main__ import main\n"
        "with contextlib.suppress(SystemExit): main(sys.argv[1:])\n"
        "print('loaded', {'torch', 'numba', 'matplotlib', 'stable_baselines3', 'scipy', 'pydantic'} & set(sys.modules))"
    )
    for arguments in (["--help"], ["speed", "--help"]):
        command = [sys.executable, "-c", program, *arguments]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "--out" in output
        assert "loaded set()" in output


@pytest.mark.parametrize(("given", "threads"), [({}, "1 1"), ({"OMP_NUM_THREADS": "3"}, "3")])
def test_networks_run_on_one_thread_unless_the_environment_says_otherwise(given: dict[str, str], threads: str) -> None:
    code = (
        "import sys; from evaluate.__main__ import main; assert 'torch' not in sys.modules; "
        "assert main(['no-such-command']) == 2; "
        "import os, torch; print('threads', os.environ['OMP_NUM_THREADS'], torch.get_num_threads())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | given
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout
    assert f"threads {threads}" in output
