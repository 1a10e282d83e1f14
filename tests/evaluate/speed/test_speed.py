from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import dnnmig_env  # noqa: F401  registers the environments
from agents.planners.swarms.particles import placement_delay_s
from dnnmig_env.families.registry import scenarios
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import check_plan
from evaluate.__main__ import main
from evaluate.speed.environment import FOUR_USERS, Player, choose
from evaluate.speed.random_plans import random_plan
from evaluate.speed.timing import rate, summarise
from tests.overriding import overriding


def test_every_legal_action_is_as_likely_and_no_other_is_chosen() -> None:
    mask = np.array([[0, 1, 0, 1, 1, 0]] * 3000, np.int8)
    actions = np.zeros(3000, np.int64)
    choose(mask, np.random.default_rng(0).random(3000), actions)
    counts = np.bincount(actions, minlength=6)
    assert counts[[0, 2, 5]].tolist() == [0, 0, 0]
    assert counts[[1, 3, 4]] == pytest.approx([1000] * 3, rel=0.1)
    choose(mask, np.full(3000, 1.0 - 1e-16), actions)
    assert (actions == 4).all()


def test_only_steps_that_decide_are_counted() -> None:
    env = gymnasium.make_vec("dnnmig/Toy-v0", num_envs=3)
    player = Player(env)
    decisions = sum(player.play() for _ in range(20))
    begun = sum(env.unwrapped.episode(row) for row in range(3))  # type: ignore[attr-defined]
    assert decisions == 20 * 8 * 3 - (begun - 3)


def test_a_rate_is_the_median_of_its_repeats() -> None:
    found = summarise([(3.0, 6.0), (1.0, 2.0), (2.5, 5.0)])
    assert (found.per_s, found.lowest_per_s, found.highest_per_s, found.per_cpu_s) == (2.5, 1.0, 3.0, 5.0)


def test_work_is_counted_over_time() -> None:
    import time

    def work() -> int:
        time.sleep(0.01)
        return 5

    began_s = time.perf_counter()
    assert 50 < rate(work, seconds=0.2, repeats=2).per_s <= 500
    assert time.perf_counter() - began_s >= 0.2  # all repeats together


def test_random_plans_can_be_carried_out() -> None:
    for seed, scenario in enumerate(scenarios("multi-user", 20, seed=0)):
        plan = random_plan(scenario, np.random.default_rng(seed))
        check_plan(scenario, plan)
        left = [server.memory_bytes for server in scenario.servers]
        for upload in plan.uploads:
            left[upload.server - 1] -= scenario.users[upload.user].graph.weight_bytes[list(upload.layers)].sum()
        sent = {(upload.user, layer) for upload in plan.uploads for layer in upload.layers}
        for u, user in enumerate(scenario.users):
            for v in np.flatnonzero(user.graph.movable).tolist():  # what stays out has no room anywhere
                assert (u, v) in sent or user.graph.weight_bytes[v] > max(left)


def test_the_free_environment_hands_out_episodes_like_the_real_one() -> None:
    from gymnasium.vector import AutoresetMode

    from dnnmig_env.envs.vector_env import MigrationVectorEnv
    from dnnmig_env.families.registry import make_generator
    from evaluate.speed.training import RECORDED_STEPS, ReplayedVecEnv

    def batch() -> MigrationVectorEnv:
        return MigrationVectorEnv(4, make_generator("toy"), autoreset_mode=AutoresetMode.SAME_STEP)

    free = ReplayedVecEnv(batch())
    observations: Any = free.reset()
    ends = 0
    for _ in range(RECORDED_STEPS + 5):
        assert all(free.observation_space.contains({k: v[row] for k, v in observations.items()}) for row in range(4))
        observations, rewards, dones, infos = free.step(np.zeros(4, np.int64))
        assert rewards.shape == (4,)
        assert [bool(done) for done in dones] == ["episode" in info for info in infos]
        ends += int(dones.sum())
    assert ends > 0


@pytest.mark.slow
def test_training_is_measured_on_both_environments() -> None:
    from evaluate.speed.training import measure_training

    found = measure_training(seconds=0.1, repeats=1)
    assert found["ratio"] == pytest.approx(found["steps_per_s"] / found["steps_per_s_free_environment"])


def test_the_command_writes_what_it_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "speed.json"
    assert main(["speed", "--out", str(out), "--parts", "kernel,pso-ga", "--seconds", "0.1", "--repeats", "1"]) == 0
    found = json.loads(out.read_text())
    assert set(found) == {"machine", "versions", "seconds", "repeats", "kernel", "pso_ga"}
    assert found["kernel"]["kernel_to_plain"] > 20
    assert found["kernel"]["relative_difference"] < 1e-9
    assert 0 < found["pso_ga"]["seconds"] < 60
    assert "plain Python" in capsys.readouterr().out


def test_searches_are_measured_beside_those_of_pymoo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluate.speed.pymoo_search.ITERATIONS", 30)
    out = tmp_path / "speed.json"
    assert main(["speed", "--out", str(out), "--parts", "pymoo", "--repeats", "2"]) == 0
    found = json.loads(out.read_text())["pymoo"]
    assert found["evaluations"] == 3100
    assert set(found["searches"]) == {"PSO-GA", "PSO-GA from runs", "genetic", "PSO", "pymoo GA", "pymoo PSO"}
    device_s = [device_only_s(scenario) for scenario in scenarios("multi-user", 2, seed=1, **FOUR_USERS)]
    for search in found["searches"].values():
        # A placement that fits: random ones hardly ever do, and rank below all others by 10^12 s.
        assert search["mean_delay_s"] == pytest.approx(np.mean(search["delays_s"]))
        assert all(0 < delay_s < 10 * all_s for delay_s, all_s in zip(search["delays_s"], device_s, strict=True))
    found_s = found["searches"]["PSO-GA from runs"]["delays_s"]
    assert all(delay_s < all_s for delay_s, all_s in zip(found_s, device_s, strict=True))
    per_cpu_s = {name: search["per_cpu_s"] for name, search in found["searches"].items()}
    assert per_cpu_s["PSO-GA"] > 2 * per_cpu_s["pymoo GA"]
    assert "pymoo PSO" in capsys.readouterr().out


def device_only_s(scenario: Scenario) -> float:
    return placement_delay_s(scenario, tuple(np.asarray(user.uploaded, np.int8) for user in scenario.users))


@pytest.mark.parametrize(("part", "package"), [("kernel", "networkx"), ("pymoo", "pymoo")])
def test_a_part_says_how_to_install_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, part: str, package: str
) -> None:
    monkeypatch.setattr("evaluate.speed.speed.find_spec", lambda name: None)
    assert main(["speed", "--out", str(tmp_path / "speed.json"), "--parts", part]) == 2
    message = capsys.readouterr().err
    assert f"pip install -c constraints.txt {package}" in message
    assert message.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_local_search_and_joint_efficiency_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "speed.json"
    assert main(["speed", "--out", str(out), "--parts", "local-search", "--seconds", "0.1", "--repeats", "1"]) == 0
    found = json.loads(out.read_text())["local_search"]
    assert found["evaluations_per_s"]["per_cpu_s"] > 1000
    assert 0 < found["joint_efficiency"]["seconds"] <= found["joint_efficiency"]["longest_s"] < 10
    assert "joint efficiency, ms" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--parts", "env,nothing"], "'nothing'"),
        (["--repeats", "0"], "--repeats"),
        (["--seconds", "0"], "--seconds"),
        (["--seconds", "nan"], "--seconds"),
        (["--threads", "0"], "--threads"),
        (["--out", "absent/speed.json"], "no folder"),
        (["--out", "."], "is a folder"),
    ],
)
def test_a_users_mistake_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["speed", *overriding(["--out", "speed.json"], *arguments)]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
