from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.planners import PLANNERS, planner
from dnnmig_env.families.registry import make_generator, scenarios
from evaluate.__main__ import main
from evaluate.compare.rollout import Arena
from evaluate.studies import runs
from evaluate.studies.playing import played_s
from evaluate.studies.variants import Agent


def run(name: str, out: Path, *arguments: str, family: str) -> dict[str, Any]:
    options = ["--family", family, "--seeds", "1", "--steps", "200", "--out", str(out)]
    few = [] if "--scenarios" in arguments else ["--scenarios", "2"]
    assert main(["study", name, *options, *few, *arguments]) == 0
    found: dict[str, Any] = json.loads((out / "study.json").read_text())
    return found


@pytest.mark.parametrize("family", ["edge-cloud", "toy"])
def test_an_agent_is_played_where_it_was_not_trained(
    tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PLANNERS, "pso-ga+lmu", planner("pso-ga:swarm=10:iterations=20+lmu"))  # takes seconds otherwise
    model = runs.finished_run("any", Agent(is_trained=False), 0, family, 1, tmp_path, lambda line: None).model
    few = ("--scenarios", "1") if family == "edge-cloud" else ()
    found = run("generalisation", tmp_path / "out", "--agent", str(model), *few, family=family)
    settings = {setting["setting"]: setting for setting in found["settings"]}
    unlike = ["networks never trained on", "12 users", "5 edges", "up to 32 layers"]
    assert list(settings) == ["nothing unusual", *(unlike if family == "edge-cloud" else [])]
    table = (tmp_path / "out" / "table.md").read_text()
    for title, setting in settings.items():
        means_s = setting["mean_delay_s"]
        assert f"| {title} | {means_s['agent']:.3f} |" in table
        for name in ("joint-efficiency", "pso-ga+lmu"):
            ratio = setting["agent_to"][name]
            assert ratio["ratio"] == pytest.approx(means_s["agent"] / means_s[name])
            assert ratio["ci95"][0] <= ratio["ratio"] * (1 + 1e-9)
            assert ratio["ratio"] <= ratio["ci95"][1] * (1 + 1e-9)
    assert not (tmp_path / "out" / "runs").exists()


def test_where_links_change_whoever_plans_does_so_anew(tmp_path: Path) -> None:
    generator, given = make_generator("mobile"), scenarios("mobile", 1, seed=5)
    arena = Arena(generator.limits, given, generator.family)
    policy = "front-to-back"
    once_s, anew_s = (arena.roll_out(*arena.policy(name, 0)).mean_delay_s for name in (policy, f"{policy}@replan"))
    assert played_s([policy], generator, given, 0).tolist() == [anew_s.tolist()] != [once_s.tolist()]
