from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.learning.algorithms import ALGORITHMS, make_model
from agents.learning.imitation import imitate
from agents.learning.sb3_vec_env import Sb3VecEnv
from agents.policies.trained import MODEL, read_card
from agents.policy_networks import facts
from agents.policy_networks.parts import LAYER, split
from agents.policy_networks.whole import LAYER_SUMS, look_ahead
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator
from evaluate.__main__ import main
from evaluate.parallel import Workers
from evaluate.studies import ablated, comparison, pace, runs
from evaluate.studies.config import StudyConfig
from evaluate.studies.runs import Run
from evaluate.studies.variants import Agent, study
from train.config import TrainConfig
from train.folder import read_config

LEFT_OUT = {"sums": "WithoutSums", "messages": "WithoutMessages"}
"""What the ablation leaves out of the network, and the policy class without it."""


def run(name: str, out: Path, *arguments: str) -> dict[str, Any]:
    options = ["--family", "toy", "--seeds", "1", "--steps", "200", "--scenarios", "3", "--out", str(out)]
    assert main(["study", name, *options, *arguments]) == 0
    found: dict[str, Any] = json.loads((out / "study.json").read_text())
    return found


def test_every_algorithm_takes_part_and_one_is_untrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, each in ALGORITHMS.items():
        monkeypatch.setitem(ALGORITHMS, name, replace(each, num_envs=16))
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
    assert set(agents) == {
        "warm start, grpo",
        "warm start, ppo",
        "grpo alone",
        *(f"without {part}" for part in LEFT_OUT),
    }
    assert agents["warm start, grpo"].changes == {"warm_start": "joint-efficiency"}
    assert agents["warm start, ppo"].changes == {"warm_start": "joint-efficiency", "algorithm": "ppo"}
    assert agents["grpo alone"].changes == {}
    for name in agents:
        config = read_config(tmp_path / "out" / "runs" / f"{name}-0")
        assert config.warm_start == agents[name].changes.get("warm_start")
        assert config.algorithm == agents[name].changes.get("algorithm", "grpo")
        assert config.policy_class == agents[name].changes.get("policy_class")
    for part, kind in LEFT_OUT.items():
        changes = {"warm_start": "joint-efficiency", "policy_class": f"evaluate.studies.ablated:{kind}"}
        assert agents[f"without {part}"].changes == changes


def network(kind: str, seed: int = 0) -> tuple[Any, Any]:
    """Return a network in which something is left out, "nothing" for the whole one, and observations."""
    env = MigrationVectorEnv(2, make_generator("edge-cloud"), "joint", autoreset_mode="SameStep")
    policy_class = None if kind == "nothing" else f"evaluate.studies.ablated:{kind}"
    model = make_model("grpo", Sb3VecEnv(env), seed, own_policy=policy_class, settings={"group_size": 2})
    observation, _ = env.reset(seed=3)
    return model.policy.mlp_extractor.network, {name: torch.as_tensor(array) for name, array in observation.items()}


@pytest.mark.parametrize("kind", ["nothing", *LEFT_OUT.values()])
def test_what_is_left_out_does_not_matter_any_more(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, given = network(kind)
    scores = found(*given.values())[0].detach()

    def changed(parts: Any, layout: Any) -> Any:
        ahead = look_ahead(parts, layout)
        return ahead._replace(layers=ahead.layers + 1.0, pairs=ahead.pairs + 1.0)

    with monkeypatch.context() as patched:
        patched.setattr(facts, "look_ahead", changed)
        other = found(*given.values())[0].detach()
    assert torch.equal(scores, other) == (kind == "WithoutSums")
    parts = split(given["observation"], found.layout)
    ahead, sums = look_ahead(parts, found.layout), torch.zeros(len(parts.row), parts.layers.shape[1], LAYER_SUMS)
    before = found._embed_layers(parts.layers, sums)
    parts.layers[:, 3, LAYER.log_weight] += 0.5
    moved = (found._embed_layers(parts.layers, sums) != before).any(-1).any(0)
    assert moved.nonzero().flatten().tolist() == ([3] if kind == "WithoutMessages" else [1, 2, 3, 4, 5])
    assert ahead.layers.shape[-1] == LAYER_SUMS


def test_in_equally_many_seconds_every_agent_learns_from_as_many_decisions_as_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def decisions(seconds: float, config: Any) -> int:
        asked.append((seconds, config.decisions))
        return 300 if config.decisions == "joint" else 600

    monkeypatch.setattr("evaluate.studies.runs.decisions_in", decisions)
    variants = run("decisions", tmp_path / "out", "--seconds", "7.5")["variants"]
    assert asked == [(7.5, "joint"), (7.5, "two-phase")]
    steps = {name: read_config(tmp_path / "out" / "runs" / f"{name}-0").total_steps for name in ("joint", "two-phase")}
    assert steps == {"joint": 300, "two-phase": 600}
    assert variants["joint"]["steps"] >= 300
    assert "two-phase: learns from 600 decisions in 7.5 s" in capsys.readouterr().err
    assert "after 7.5 s: toy" in (tmp_path / "out" / "table.md").read_text()
    run("decisions", tmp_path / "out", "--seconds", "7.5", "--overwrite")
    assert len(asked) == 2  # the runs say how many decisions it were


def test_workers_measure_the_pace_beside_each_other_as_they_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = []

    def recorded(function: Any, items: Sequence[Any], workers: Workers) -> Iterator[Any]:
        shared.append((function.func, len(items)))
        return map(function, items)

    monkeypatch.setattr(comparison, "results_of", recorded)
    monkeypatch.setattr("evaluate.studies.runs.decisions_in", lambda seconds, config: 300)
    run("decisions", tmp_path / "out", "--seconds", "7.5")
    assert shared == [(comparison._steps, 2), (comparison._finished, 2)]


def test_an_agent_that_is_not_trained_has_no_pace(tmp_path: Path) -> None:
    config = StudyConfig("algorithms", tmp_path, family="toy", steps=7, seconds=5.0)
    assert runs.steps_of("untrained", Agent(is_trained=False), config, print) == 7


@pytest.mark.parametrize(("seconds", "steps"), [(130.0, 35_000), (100.0, 20_000), (25.0, 5_000)])
def test_the_first_decisions_have_a_pace_of_their_own(
    seconds: float, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, learned = [0.0], []

    class Model:
        num_timesteps = 0

        def learn(self, steps: int, reset_num_timesteps: bool = True) -> None:
            learned.append((steps, reset_num_timesteps))
            taken = 2 * steps  # a round more than asked for
            self.num_timesteps += taken
            clock[0] += 100.0 if len(learned) == 1 else taken / 500.0

    monkeypatch.setattr(pace, "untrained", lambda config: Model())
    monkeypatch.setattr(pace.time, "perf_counter", lambda: clock[0])
    assert pace.decisions_in(seconds, TrainConfig()) == steps  # 20,000 take 100 s, each further 500 a second
    assert learned == [(pace.STEPS, True), (pace.STEPS, False)][: 2 if seconds > 100.0 else 1]


def test_a_new_model_is_the_one_that_training_begins_with() -> None:
    model: Any = pace.untrained(TrainConfig(family="toy", algorithm="ppo", decisions="two-phase", seed=4))
    env = model.get_env().env
    assert (env.num_envs, model.seed) == (ALGORITHMS["ppo"].num_envs, 4)
    assert env.episodes.decision_mode == "two-phase"
    assert env.episodes._rules.shaped and env.episodes._rules.in_device_only_units
    own = pace.untrained(TrainConfig(family="toy", policy_class="evaluate.studies.ablated:WithoutSums"))
    assert type(own.policy) is ablated.WithoutSums
    few: Any = pace.untrained(TrainConfig(family="toy", algorithm="ppo", warm_start="exact"))
    assert few.settings["n_steps"] == ALGORITHMS["ppo"].warm_start_settings["n_steps"] != model.settings["n_steps"]


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
