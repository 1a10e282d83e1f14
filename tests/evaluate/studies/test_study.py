"""Studies as commands, with agents of hardly any training in the toy family."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.policies.trained import MODEL, read_card
from evaluate.__main__ import main
from evaluate.studies import runs
from evaluate.studies.variants import Study, study
from train.folder import read_config


def run(name: str, out: Path, *arguments: str) -> int:
    defaults = {"--family": "toy", "--seeds": "2", "--steps": "200", "--scenarios": "3"}
    words = [word for option, value in defaults.items() if option not in arguments for word in (option, value)]
    return main(["study", name, *words, "--out", str(out), *arguments])


def found_in(out: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((out / "study.json").read_text())
    return result


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study") / "decisions"
    assert run("decisions", out) == 0
    return out


def test_a_study_says_the_same_in_all_its_files(decisions: Path) -> None:
    found, wanted = found_in(decisions), study("decisions")
    assert list(found["variants"]) == list(wanted.rows)
    table = (decisions / "table.md").read_text()
    for name, figures in found["variants"].items():
        assert f"| {name} |" in table
        records = [record for record in found["records"] if record["variant"] == name]
        seeds = [0, 1] if wanted.agent_in(name) else [None]
        assert [(r["training_seed"], r["scenario"]) for r in records] == [(k, n) for k in seeds for n in range(3)]
        assert figures["seeds"] == len(seeds)
        assert figures["mean_delay_s"] == pytest.approx(np.mean([record["mean_delay_s"] for record in records]))
        assert figures["iqm_ci95"][0] <= figures["iqm"] * (1 + 1e-9)
        assert (figures["steps"] is None) == (wanted.agent_in(name) is None)
    assert found["variants"]["joint-efficiency"]["iqm"] == 1.0
    assert found["variants"]["pso-ga+lmu"]["iqm"] > 1.0
    assert (found["study"], found["config"]["seeds"], found["reference"]) == ("decisions", 2, "joint-efficiency")


def test_agents_are_trained_as_the_study_says(decisions: Path) -> None:
    folders = {path.name for path in (decisions / "runs").iterdir()}
    assert folders == {"joint-0", "joint-1", "two-phase-0", "two-phase-1"}
    for name in ("joint", "two-phase"):
        for seed in (0, 1):
            folder = decisions / "runs" / f"{name}-{seed}"
            config, card = read_config(folder), read_card(folder / MODEL)
            assert (config.seed, config.decisions) == (seed, name)
            assert card.decisions == name
            assert card.steps >= 200
    steps = {name: f["steps"] for name, f in found_in(decisions)["variants"].items() if f["steps"]}
    assert set(steps) == {"joint", "two-phase"}
    assert all(200 <= taken < 200 + 256 * 10 for taken in steps.values())  # a round of 256 episodes in the toy


def test_finished_runs_are_used_again_and_what_is_missing_is_trained(
    decisions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = {path: path.stat().st_mtime_ns for path in decisions.glob("runs/*/model.zip")}
    before = (decisions / "table.md").read_text()
    lost = decisions / "runs" / "two-phase-1"
    lost.rename(decisions / "runs" / ".two-phase-1.partial")  # as if stopped in its training
    assert run("decisions", decisions, "--overwrite") == 0
    said = capsys.readouterr().err
    assert "joint-0: is there already" in said
    assert "two-phase-1: " in said and " decisions in" in said
    changed = [path for path, then in models.items() if path.stat().st_mtime_ns != then]
    assert changed == [lost / "model.zip"]
    assert not list((decisions / "runs").glob(".*"))
    assert (decisions / "table.md").read_text() == before  # the same seed learns the same


def test_a_study_that_was_stopped_goes_on(
    decisions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(runs, "train", lambda config: 143)  # what SIGTERM makes of training
        assert run("decisions", out) == 143
    assert f"finished training runs are in {out}/runs; the same command goes on" in capsys.readouterr().err
    (out / "runs").mkdir(parents=True)
    for path in (decisions / "runs").iterdir():
        (out / "runs" / path.name).symlink_to(path)
    assert run("decisions", out) == 0  # without --overwrite
    assert "is there already" in capsys.readouterr().err
    assert (out / "table.md").read_text() == (decisions / "table.md").read_text()


def test_rows_name_agents_that_are_trained() -> None:
    for name in ("decisions", "algorithms", "ablation"):
        found: Study = study(name)
        assert {found.agent_in(row) for row in found.rows} == {None, *found.agents}
        assert "joint-efficiency" in found.rows


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("decisions", ["--seeds", "0"], "--seeds is 0; it must be at least 1"),
        ("decisions", ["--steps", "0"], "--steps is 0; it must be at least 1"),
        ("ablation", ["--scenarios", "0"], "--scenarios is 0; it must be at least 1"),
        ("ablation", ["--seed", "-1"], "--seed is -1; it must be at least 0"),
        ("algorithms", ["--seconds", "0"], "--seconds is 0.0; it must be more than 0"),
        ("generalisation", ["--seconds", "9"], "--seconds is 9.0, but generalisation trains nothing; leave it out"),
        ("algorithms", ["--family", "absent"], "unknown family 'absent'"),
        ("generalisation", ["--agent", "runs/absent"], "no model at runs/absent"),
    ],
)
def test_a_users_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, arguments: list[str], says: str
) -> None:
    assert run(name, tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_results_and_runs_of_another_study_are_not_mixed_in(
    decisions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (decisions / "study.json").read_text()
    assert run("decisions", decisions) == 2
    assert "is not empty" in capsys.readouterr().err
    assert run("decisions", decisions, "--overwrite", "--steps", "300") == 2
    assert "joint-0 was trained with --total-steps 200, not 300; name another --out" in capsys.readouterr().err
    assert (decisions / "study.json").read_text() == before
