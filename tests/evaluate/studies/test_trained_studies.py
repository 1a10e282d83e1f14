from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.learning.algorithms import ALGORITHMS
from agents.learning.imitation import imitate
from agents.policies.trained import MODEL, read_card
from evaluate.__main__ import main
from evaluate.studies import comparison
from evaluate.studies.config import StudyConfig
from evaluate.studies.runs import Run
from evaluate.studies.variants import Agent, study
from train.folder import read_config


def run(name: str, out: Path, *arguments: str) -> dict[str, Any]:
    options = ["--family", "toy", "--seeds", "1", "--steps", "200", "--scenarios", "3", "--out", str(out)]
    assert main(["study", name, *options, *arguments]) == 0
    found: dict[str, Any] = json.loads((out / "study.json").read_text())
    return found


def test_every_algorithm_takes_part_and_one_is_untrained(tmp_path: Path) -> None:
    variants = run("algorithms", tmp_path / "out")["variants"]
    agents = [*ALGORITHMS, "untrained"]
    assert [name for name, figures in variants.items() if figures["steps"] is not None] == agents
    assert variants["untrained"]["steps"] == 0
    for name in agents:
        card = read_card(tmp_path / "out" / "runs" / f"{name}-0" / MODEL)
        assert card.algorithm == ("grpo" if name == "untrained" else name)


def imitate_a_few(model: Any, teacher: str, env: Any, episodes: int, *others: Any) -> float:
    assert episodes == 1024
    return imitate(model, teacher, env, 16, *others)


def test_an_ablation_leaves_out_and_puts_in_one_thing_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALGORITHMS, "ppo", replace(ALGORITHMS["ppo"], num_envs=8))
    monkeypatch.setitem(ALGORITHMS, "grpo", replace(ALGORITHMS["grpo"], num_envs=16))
    monkeypatch.setattr("train.run.imitate", imitate_a_few)
    variants = run("ablation", tmp_path / "out")["variants"]
    many, one = variants["warm start, grpo, best of 64"], variants["warm start, grpo"]
    assert many["policy"].endswith("@64")
    assert many["mean_delay_s"] <= one["mean_delay_s"] * (1 + 1e-9)
    assert many["steps"] == one["steps"]
    agents = study("ablation").agents
    assert agents["warm start, grpo"].changes == {"warm_start": "joint-efficiency"}
    assert agents["warm start, ppo"].changes == {"warm_start": "joint-efficiency", "algorithm": "ppo"}
    assert agents["grpo alone"].changes == {}
    for name in agents:
        config = read_config(tmp_path / "out" / "runs" / f"{name}-0")
        assert config.warm_start == agents[name].changes.get("warm_start")
        assert config.algorithm == agents[name].changes.get("algorithm", "grpo")


def test_steps_are_the_mean_over_training_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(name: str, agent: Agent, seed: int, *others: Any) -> Run:
        return Run(tmp_path / f"{name}-{seed}", 100 + 200 * seed)

    monkeypatch.setattr(comparison, "finished_run", trained)
    monkeypatch.setattr(comparison, "played_s", lambda names, *_: np.ones((len(names), 1)))
    config = StudyConfig("decisions", tmp_path, family="toy", seeds=2, scenarios=1)
    found = comparison.train_and_compare(study("decisions"), config, print)
    assert found.steps == {"joint": 200.0, "two-phase": 200.0}
    assert {name: len(rows) for name, rows in found.delays_s.items() if name in found.steps} == {
        "joint": 2,
        "two-phase": 2,
    }


def test_records_are_relative_to_the_reference_in_the_same_scenario() -> None:
    delays_s = {"joint": np.array([[1.0, 3.0], [2.0, 6.0]]), "joint-efficiency": np.array([[2.0, 12.0]])}
    records = comparison.Comparison(study("decisions"), delays_s, {"joint": 1.0}, 0).as_dict()["records"]
    assert [record["relative"] for record in records] == [0.5, 0.25, 1.0, 0.5, 1.0, 1.0]
    assert [record["training_seed"] for record in records] == [0, 0, 1, 1, None, None]
