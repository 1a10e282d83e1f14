"""Results are read back from their folder, and their command from what was written of it."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import pytest
import tyro

from evaluate.__main__ import main
from evaluate.compare.compare import compare
from evaluate.compare.config import Config
from evaluate.compare.reading import read_evaluation
from evaluate.compare.replaying import replays, saved_scenarios


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return Config(
        policies="front-to-back,device-only,random",
        out=tmp_path_factory.mktemp("results") / "with a space",
        family="single",
        scenarios=3,
        seed=5,
        decisions="two-phase",
        save_plans=True,
    )


def test_an_evaluation_is_read_back(config: Config) -> None:
    results, found = compare(config), read_evaluation(config.out)
    assert dict(found.figures) == results.figures()
    assert list(found.figures) == sorted(found.figures, key=lambda name: found.figures[name].mean_delay_s)
    for policy, delays_s in results.delays_s.items():
        rows = found.rows[policy]
        assert [row.delay_s for row in rows] == delays_s.tolist()
        assert [row.relative for row in rows] == (delays_s / results.device_only_s).tolist()
        assert [row.gap for row in rows] == (delays_s / results.best_s - 1.0).tolist()
        assert [row.moves["radio_bytes"] for row in rows] == results.rollouts[policy].radio_bytes.tolist()
    assert found.title == "single: 3 scenarios, seed 5"
    frozen = {**found.summary, "seed": None, "scenario_files": ["0.json"] * 3, "set": {"name": "single-v1"}}
    assert dataclasses.replace(found, summary=frozen).title == "single-v1: 3 scenarios"
    words = shlex.split(found.command)
    assert words[:3] == ["python", "-m", "evaluate"] and tyro.cli(Config, args=words[3:]) == config
    replayed = [(row.policy, row.scenario) for row, _ in replays(found, saved_scenarios(found))]
    assert replayed == [
        (policy, number) for policy in ("front-to-back", "device-only", "random") for number in range(3)
    ]


def test_what_holds_no_results_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remedy = "name a folder that python -m evaluate has written"
    with pytest.raises(ValueError, match=remedy):
        read_evaluation(tmp_path)
    for name in ("config.json", "records.csv"):
        (tmp_path / name).write_text("{}")
    for text in ("{}", "[]", '{"policies": {"random": {"wins": 1}}}', "{"):
        (tmp_path / "summary.json").write_text(text)
        with pytest.raises(ValueError, match=str(tmp_path)):
            read_evaluation(tmp_path)
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
