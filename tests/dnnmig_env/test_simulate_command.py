"""`python -m dnnmig_env simulate`: replays a plan's file, and says whether it goes as planned."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnnmig_env.__main__ import main
from dnnmig_env.scenarios.file import save_scenario
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.plan_file import save_plan
from dnnmig_env.simulation.simulator import simulate
from tests.agents.planners.hand_made import chain

EXAMPLES = Path(__file__).parents[2] / "examples"
SCENARIO = chain([1, 2], [0, 0])
"""Layers of 1 s on the device and 0.1 s on the server: the first is there after 1 s, the second after 3 of 100 s."""
DELAY_S = (1 * 2.0 + 2 * 1.1 + 97 * 0.2) / 100


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    save_scenario(SCENARIO, tmp_path / "scenario.yaml")
    save_plan(simulate(SCENARIO, Plan((Upload(0, 1, (0,)), Upload(0, 1, (1,))))), tmp_path / "plan.json")
    return ["simulate", "--scenario", str(tmp_path / "scenario.yaml"), "--plan", str(tmp_path / "plan.json")]


def test_a_plan_goes_as_planned(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    printed = capsys.readouterr().out
    last = printed.splitlines()[-1].split()
    assert (last[0], float(last[1].rstrip(",")), last[2:]) == (
        "mean_delay_s",
        pytest.approx(DELAY_S),
        ["as", "planned"],
    )
    assert "upload  user" in printed and "user0" in printed


@pytest.mark.parametrize(
    ("old", "new", "status", "says"),
    [
        (
            '"layer": "l1"',
            '"layer": "l9"',
            2,
            "plan.json: moves[1].layers[0]: the network of 'user0' has no layer 'l9'",
        ),
        ('"sha256": "', '"sha256": "0', 2, "plan.json: scenario.sha256: it is the plan of another scenario"),
        ('"mean_delay_s": ', '"mean_delay_s": 1', 1, "the plan was changed, or made with another version of the model"),
        ('"not_before_s"', '"not_before_s"', 0, ""),
    ],
)
def test_what_does_not_fit_is_one_line(
    words: list[str], old: str, new: str, status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(words[-1])
    path.write_text(path.read_text().replace(old, new))
    assert main(words) == status
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == (1 if status else 0)


def test_a_plan_that_promises_nothing_is_simulated(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(words[-1])
    lines = [line for line in path.read_text().splitlines() if not line.startswith('"mean_delay_s"')]
    path.write_text("\n".join(lines))
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"mean_delay_s {simulate_s()!r}"


def simulate_s() -> float:
    return simulate(SCENARIO, Plan((Upload(0, 1, (0,)), Upload(0, 1, (1,))))).mean_delay_s


def test_the_example_goes_as_planned(capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--scenario", str(EXAMPLES / "two_cells.yaml"), "--plan", str(EXAMPLES / "two_cells_plan.json")]
    assert main(["simulate", *files]) == 0
    assert capsys.readouterr().out.rstrip().endswith("as planned")
