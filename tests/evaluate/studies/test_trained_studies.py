from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agents.candidates.features import REFERENCE_FEATURES
from agents.policies.trained import MODEL, read_card
from evaluate.__main__ import main
from evaluate.studies.variants import Agent, study
from train.folder import read_config


def run(name: str, out: Path, *arguments: str) -> dict[str, Any]:
    options = ["--family", "toy", "--seeds", "1", "--steps", "200", "--scenarios", "3", "--out", str(out)]
    assert main(["study", name, *options, *arguments]) == 0
    found: dict[str, Any] = json.loads((out / "study.json").read_text())
    return found


def test_every_algorithm_takes_part_and_one_is_untrained(tmp_path: Path) -> None:
    variants = run("algorithms", tmp_path / "out")["variants"]
    plain = ["ppo", "a2c", "dqn", "maskable-ppo"]
    candidates = {f"{name}-candidates": name for name in ("ppo", "hindsight", "untrained")}
    assert [name for name, figures in variants.items() if figures["steps"] is not None] == [*plain, *candidates]
    assert variants["untrained-candidates"]["steps"] == 0
    for name in (*plain, *candidates):
        card = read_card(tmp_path / "out" / "runs" / f"{name}-0" / MODEL)
        assert card.observation == ("candidates" if name in candidates else "plain")
        learned_by = candidates.get(name, name)
        assert card.algorithm == ("ppo" if learned_by == "untrained" else learned_by)


def test_an_ablation_leaves_out_and_puts_in_one_thing_each(tmp_path: Path) -> None:
    variants = run("ablation", tmp_path / "out")["variants"]
    for name in ("candidates", "plain"):
        many, one = variants[f"{name}, best of 64"], variants[name]
        assert many["policy"].endswith("@64")
        assert many["mean_delay_s"] <= one["mean_delay_s"] * (1 + 1e-9)
        assert many["steps"] == one["steps"]
    plain = Agent({"observation": "plain"}).changes
    agents = study("ablation").agents
    assert agents["plain"].changes == plain
    assert agents["plain-warm-start"].changes == {**plain, "warm_start": "joint-efficiency"}
    hidden = {"candidates-without-gain": ["gain"], "candidates-without-reference": list(REFERENCE_FEATURES)}
    for name in agents:
        folder = tmp_path / "out" / "runs" / f"{name}-0"
        assert read_config(folder).warm_start == agents[name].changes.get("warm_start")
        assert list(read_card(folder / MODEL).blind) == hidden.get(name, [])
