"""`python -m dnnmig_env draw`: scenarios as files, the same as those that are drawn, and never over another file."""

from pathlib import Path

import pytest

from dnnmig_env.__main__ import main
from dnnmig_env.families.registry import scenarios
from dnnmig_env.scenarios.file import load_scenario
from dnnmig_env.simulation.packed import pack


@pytest.mark.parametrize("family", ["single", "edge-cloud", "multi-user", "mobile", "toy"])
def test_files_hold_the_scenarios_that_evaluate_draws(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["draw", family, "--scenarios", "2", "--seed", "5", "--out", str(tmp_path / "drawn")]) == 0
    files = [tmp_path / "drawn" / f"{family}-5-{number}.yaml" for number in range(2)]
    assert capsys.readouterr().out.split() == [str(file) for file in files]
    for file, scenario in zip(files, scenarios(family, 2, seed=5), strict=True):
        for read, drawn in zip(pack([load_scenario(file)]), pack([scenario]), strict=True):
            assert (read == drawn).all()


def test_options_are_those_of_the_family(tmp_path: Path) -> None:
    assert main(["draw", "multi-user", "--out", str(tmp_path), "--option", "num_users=4", "max-layers=5"]) == 0
    scenario = load_scenario(tmp_path / "multi-user-1-0.yaml")
    assert len(scenario.users) == 4
    assert max(len(user.graph) for user in scenario.users) <= 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["multi-usr"], "unknown family 'multi-usr'; did you mean 'multi-user'"),
        (["toy", "--scenarios", "0"], "--scenarios is 0; draw at least 1"),
        (["toy", "--seed", "-1"], "--seed is -1; it must not be negative"),
        (["toy", "--option", "users=2"], "family 'toy' has no option 'users'"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["draw", *arguments, "--out", str(tmp_path / "drawn")]) == 2
    words = capsys.readouterr().err
    assert message in words and words.count("\n") == 1
    assert not (tmp_path / "drawn").exists()


def test_no_file_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "toy-1-1.yaml").write_text("mine")
    assert main(["draw", "toy", "--scenarios", "2", "--out", str(tmp_path)]) == 2
    assert "toy-1-1.yaml is there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["toy-1-1.yaml"]
    assert (tmp_path / "toy-1-1.yaml").read_text() == "mine"
    assert main(["draw", "toy", "--out", str(tmp_path / "toy-1-1.yaml")]) == 2
    assert "cannot be used: File exists" in capsys.readouterr().err
