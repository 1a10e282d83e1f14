"""`python -m evaluate dataset`: Minari reads back what policies saw, did and were paid; half a dataset never loads."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.policies.policy import resolve_policy
from dnnmig_env.envs.env import MigrationEnv
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import make_generator, scenarios
from evaluate.__main__ import main
from evaluate.compare.rollout import Arena
from evaluate.dataset import dataset
from evaluate.dataset.config import DatasetConfig
from evaluate.dataset.episodes import replayed
from evaluate.dataset.writing import WRITING, dataset_ids, put_together
from evaluate.output.journal import JOURNAL

minari = pytest.importorskip("minari", reason="needs the extra minari")
pytest.importorskip("h5py", reason="needs the extra minari")

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"
INFOS = {"action_mask", "mean_delay_s", "device_only_delay_s", "illegal_action", "action_taken"}


def command(out: Path, *words: str) -> list[str]:
    chosen = [] if {"--family", "--set", "--scenario-file"} & set(words) else ["--family", "toy"]
    policies = [] if "--policies" in words else ["--policies", "front-to-back,random"]
    count = [] if {"--episodes", "--scenario-file"} & set(words) else ["--episodes", "3"]
    return ["dataset", *chosen, *policies, *count, *words, "--out", str(out)]


def loaded(monkeypatch: pytest.MonkeyPatch, out: Path, dataset_id: str) -> Any:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(out))
    return minari.load_dataset(dataset_id)


def listed(monkeypatch: pytest.MonkeyPatch, out: Path) -> list[str]:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(out))
    return sorted(minari.list_local_datasets())


def contents(found: Any) -> list[Any]:
    """Return all numbers of a dataset."""
    return [
        (
            {name: each.tolist() for name, each in episode.observations.items()},
            episode.actions.tolist(),
            episode.rewards.tolist(),
            episode.terminations.tolist(),
            episode.truncations.tolist(),
            {name: each.tolist() for name, each in episode.infos.items()},
        )
        for episode in found
    ]


def steps_by_hand(policy: str, given: Any, number: int, generator: Any, **options: Any) -> list[Any]:
    """Return what an episode holds, played by the policy itself in an environment of its own."""
    env = MigrationVectorEnv(1, generator, autoreset_mode="Disabled", **options)
    acts, played = resolve_policy(policy, env, 5), []
    if hasattr(acts, "use_stream"):
        acts.use_stream(0, (number, 0))
    observation, info = env.reset(options={"scenarios": [given]})
    state, begins, ended = None, np.ones(1, np.bool_), False
    played.append((observation, None, None, info))
    while not ended:
        actions, state = acts.predict(observation, state, begins)
        observation, rewards, terminated, _, info = env.step(actions)
        played.append((observation, int(actions[0]), float(rewards[0]), info))
        ended, begins = bool(terminated[0]), np.zeros(1, np.bool_)
    return played


@pytest.mark.parametrize(
    ("family", "words", "options"),
    [
        ("toy", [], {"reward": "shaped", "scale": "device-only"}),
        ("toy", ["--reward", "delay"], {"reward": "delay", "scale": "device-only"}),
        ("edge-cloud", ["--scale", "seconds"], {"reward": "shaped", "scale": "seconds"}),
        ("mobile", ["--reward", "delay", "--scale", "seconds"], {"reward": "delay", "scale": "seconds"}),
        (
            "toy",
            ["--decisions", "two-phase"],
            {"reward": "shaped", "scale": "device-only", "decisions": "two-phase"},
        ),
    ],
)
def test_a_dataset_holds_what_the_policy_saw_did_and_was_paid(
    family: str, words: list[str], options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planner = "pso-ga:iterations=3:swarm=4+lmu"  # random, so that streams of random numbers matter
    assert main(command(tmp_path, "--family", family, "--policies", planner, "--seed", "5", *words)) == 0
    found = loaded(monkeypatch, tmp_path, f"dnnmig/{family}/pso-ga_iterations_3_swarm_4_lmu-v0")
    assert found.total_episodes == 3
    generator, given = make_generator(family), scenarios(family, 3, 5)
    total = 0
    for number, (episode, scenario) in enumerate(zip(found, given, strict=True)):
        played = steps_by_hand(planner, scenario, number, generator, **options)
        assert set(episode.infos) == INFOS
        for at, (observation, action, reward, info) in enumerate(played):
            for name in ("observation", "action_mask"):
                np.testing.assert_array_equal(episode.observations[name][at], observation[name][0])
            for name in INFOS:
                assert np.array_equal(episode.infos[name][at], info[name][0]), (name, at)
            if at:
                assert (episode.actions[at - 1], episode.rewards[at - 1]) == (action, reward)
        last = len(played) - 2
        assert episode.terminations.tolist() == [at == last for at in range(last + 1)]
        assert not episode.truncations.any() and len(episode.truncations) == last + 1
        total += last + 1
    assert found.total_steps == total


def test_the_folder_may_be_given_from_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command(Path("results/sets"), "--family", "toy", "--policies", "joint-efficiency")) == 0
    found = loaded(monkeypatch, tmp_path / "results" / "sets", "dnnmig/toy/joint-efficiency-v0")
    assert found.total_episodes == 3


def test_what_is_written_beside_the_episodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--family", "multi-user", "--option", "num_users=2,3", "max_layers=4", "--seed", "3", "--episodes", "2"]
    assert main(command(tmp_path / "out", *words)) == 0
    captured = capsys.readouterr()
    ids = ["dnnmig/multi-user/front-to-back-v0", "dnnmig/multi-user/random-v0"]
    assert listed(monkeypatch, tmp_path / "out") == ids
    assert all(one in captured.out for one in ids) and f'minari.load_dataset("{ids[0]}")' in captured.out
    assert "writing random: 2 of 2 scenarios" in captured.err
    found = loaded(monkeypatch, tmp_path / "out", ids[1])
    env = found.recover_environment()
    assert env.observation_space == found.observation_space and env.action_space == found.action_space
    assert env.unwrapped.episodes.generator.num_users == (2, 3)
    for episode in found:
        for at, action in enumerate(episode.actions):
            assert found.observation_space.contains({name: each[at] for name, each in episode.observations.items()})
            assert found.action_space.contains(action)
    drawn = scenarios("multi-user", 2, 3, num_users=(2, 3), max_layers=4)
    for episode, scenario in zip(found, drawn, strict=True):  # the environment that is recovered pays alike
        env.reset(options={"scenario": scenario})
        assert [float(env.step(int(action))[1]) for action in episode.actions] == episode.rewards.tolist()
    notes = list(found.storage.get_episode_metadata(range(2)))
    assert [int(note["scenario"]) for note in notes] == [0, 1]
    assert [float(note["rewards_sum"]) for note in notes] == pytest.approx([each.rewards.sum() for each in found])
    about = found.storage.metadata
    assert about["algorithm_name"] == "random" and "reward shaped, scale device-only" in about["description"]
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert written == about["made_with"] and written["config"]["seed"] == 3
    table = next(line for line in captured.out.splitlines() if line.strip().startswith(ids[1]))
    mean = np.mean([each.rewards.sum() for each in found])
    assert table.split()[1:] == ["2", str(found.total_steps), f"{mean:.3f}"]


def test_scenarios_come_from_files_and_sets_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [str(EXAMPLES / "one_phone.yaml"), str(EXAMPLES / "two_cells.yaml")]
    assert main(command(tmp_path / "files", "--scenario-file", *files)) == 0
    (one, _) = listed(monkeypatch, tmp_path / "files")
    found = loaded(monkeypatch, tmp_path / "files", one)
    assert found.total_episodes == 2 and found.spec.env_spec is None  # which Gymnasium could not make again
    assert main(command(tmp_path / "set", "--set", "single-v1", "--episodes", "2")) == 0
    ids = listed(monkeypatch, tmp_path / "set")
    assert ids == ["dnnmig/single-v1/front-to-back-v0", "dnnmig/single-v1/random-v0"]
    assert loaded(monkeypatch, tmp_path / "set", ids[0]).total_episodes == 2


def test_the_same_datasets_whatever_the_number_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for workers in ("1", "2"):
        out = tmp_path / workers
        assert main(command(out, "--episodes", "18", "--workers", workers)) == 0
        found.append([contents(loaded(monkeypatch, out, each)) for each in listed(monkeypatch, out)])
    assert found[0] == found[1] and [len(each) for each in found[0]] == [18, 18]


def test_a_policy_that_acts_illegally_is_recorded_as_it_was(tmp_path: Path) -> None:
    (scenario,) = scenarios("toy", 1, 0)
    env = MigrationEnv(make_generator("toy"), reward="delay")
    wrong = int(np.flatnonzero(env.reset(options={"scenario": scenario})[0]["action_mask"] == 0)[0])
    episode = replayed(env, scenario, [wrong])
    assert episode.infos["illegal_action"].tolist() == [False, True]
    assert (episode.ended.tolist(), episode.actions.tolist()) == ([True], [wrong])
    assert episode.rewards.sum() == pytest.approx(-episode.infos["mean_delay_s"][-1])


def test_every_policy_has_an_id_that_minari_takes() -> None:
    from minari.dataset.minari_dataset import parse_dataset_id

    policies = ("joint-efficiency@replan", "runs/quick", "runs_quick", "a.b:C@m.zip", "exact:first_slot=true", "x-v3")
    ids = dataset_ids("./my_family.yaml", policies)
    assert list(ids) == list(policies) and len(set(ids.values())) == len(policies)
    assert ids["joint-efficiency@replan"] == "dnnmig/my_family_yaml/joint-efficiency_replan-v0"
    for each in ids.values():
        namespace, _, version = parse_dataset_id(each)
        assert (namespace, version) == ("dnnmig/my_family_yaml", 0)


def test_every_option_reaches_the_policies_and_the_scenarios(tmp_path: Path) -> None:
    given = {
        "policies": "random",
        "out": tmp_path,
        "family": "single",
        "seed": 3,
        "set": "single-v1",
        "policy_seed": 4,
        "decisions": "two-phase",
        "scenario_file": (),
        "networks": "test",
        "option": ("max_layers=4",),
    }
    chosen: Any = DatasetConfig(**given, episodes=7)  # type: ignore[arg-type]
    assert {name: getattr(chosen.comparison(), name) for name in given} == given
    assert chosen.comparison().scenarios == 7
    files: Any = DatasetConfig("random", tmp_path, scenario_file=(tmp_path / "a.yaml",))
    assert (files.comparison().scenario_file, files.comparison().scenarios) == (files.scenario_file, None)


def test_a_stopped_command_goes_on_with_other_rewards_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(dataset, "replayed", stop)
        assert main(command(tmp_path)) == 130
    capsys.readouterr()
    compared = ["--family", "toy", "--policies", "front-to-back,random", "--scenarios", "3", "--out", str(tmp_path)]
    for words, says in (
        (command(tmp_path, "--policy-seed", "9"), "policy_seed was null, now it is 9"),
        (command(tmp_path, "--decisions", "two-phase"), 'decisions was "joint", now it is "two-phase"'),
        (compared, 'command was "dataset", now it is null'),
    ):
        assert main(words) == 2
        assert f"it was begun with other settings ({says})" in capsys.readouterr().err
    assert main(command(tmp_path, "--reward", "delay")) == 0
    for episode in loaded(monkeypatch, tmp_path, "dnnmig/toy/random-v0"):
        share = episode.infos["mean_delay_s"][-1] / episode.infos["device_only_delay_s"][-1]
        assert episode.rewards.sum() == pytest.approx(-share)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--episodes", "0"], "--episodes is 0; record at least 1"),
        (["--set", "single-v1", "--episodes", "1000"], "--episodes is 1000, but the set single-v1 has 100; give 1 to"),
        (
            ["--scenario-file", str(EXAMPLES / "one_phone.yaml"), "--episodes", "2"],
            "--episodes is 2, but --scenario-file gives the scenarios",
        ),
        (["--set", "single-v1", "--family", "toy"], "--family says how to draw scenarios, but --set gives them"),
        (["--policies", "rndom"], "unknown planner 'rndom'"),
        (["--policies", "random,random"], "--policies has 'random' twice"),
        (["--workers", "0"], "--workers is 0; it must be at least 1"),
    ],
)
def test_mistakes_are_one_line(words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(tmp_path / "out", *words)) == 2
    captured = capsys.readouterr()
    assert says in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_installed_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for missing in ("minari", "h5py"):
        monkeypatch.setattr(dataset, "find_spec", lambda name, missing=missing: None if name == missing else object())
        assert main(command(tmp_path / "out")) == 2
        error = capsys.readouterr().err
        assert f"a dataset needs {missing}, which is not installed; run: pip install -e '.[minari]'" in error
        assert error.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path)) == 0
    before = [contents(loaded(monkeypatch, tmp_path, each)) for each in listed(monkeypatch, tmp_path)]
    assert main(command(tmp_path, "--seed", "2")) == 2
    assert "which is not empty; name another folder or add --overwrite" in capsys.readouterr().err
    (tmp_path / "config.json").unlink()  # what is left looks like what a stopped command may leave, without a journal
    assert main(command(tmp_path, "--seed", "2")) == 2
    assert [contents(loaded(monkeypatch, tmp_path, each)) for each in listed(monkeypatch, tmp_path)] == before
    assert main(command(tmp_path, "--seed", "2", "--policies", "random", "--overwrite")) == 0
    kept, replaced = (contents(loaded(monkeypatch, tmp_path, each)) for each in listed(monkeypatch, tmp_path))
    assert kept == before[0] and replaced != before[1] and len(replaced) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"dnnmig", "config.json"}


class StoppedError(Exception):
    """Stands for whatever may come up."""


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("HDF5 is full"), StoppedError()])
@pytest.mark.parametrize("at", [1, 4])
def test_nothing_that_loads_is_left_of_a_command_that_fails_while_it_writes(
    at: int, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    count = 0

    def fails(*given: Any) -> Any:
        nonlocal count
        count += 1
        if count == at:
            raise error
        return replayed(*given)

    with monkeypatch.context() as patched:
        patched.setattr(dataset, "replayed", fails)
        if isinstance(error, StoppedError):
            with pytest.raises(StoppedError):
                main(command(tmp_path))
        else:
            assert main(command(tmp_path)) == (2 if isinstance(error, OSError) else 130)
    said = capsys.readouterr().err
    if isinstance(error, OSError):
        assert f"error: cannot write to {tmp_path}: HDF5 is full; free some space" in said
    if isinstance(error, KeyboardInterrupt):
        assert "interrupted: 6 of 6 records are kept" in said
    assert listed(monkeypatch, tmp_path) == []
    assert {path.name for path in tmp_path.iterdir()} == {JOURNAL}
    with monkeypatch.context() as patched:  # the same command goes on, and plays nothing again
        patched.setattr(Arena, "roll_out", None)
        assert main(command(tmp_path)) == 0
    assert len(listed(monkeypatch, tmp_path)) == 2 and not (tmp_path / JOURNAL).exists()


def test_a_command_that_is_killed_leaves_only_whole_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed when the first of two datasets is in its place, before the second one is."""
    script = f"""
import os, signal
from pathlib import Path
from evaluate.__main__ import main
from evaluate.dataset import writing
move, moved = os.replace, []
def killed(source, target):
    if "{WRITING}" in str(source):
        if moved:
            os.kill(os.getpid(), signal.SIGKILL)
        moved.append(target)
    move(source, target)
writing.os.replace = killed
main({command(tmp_path)!r})
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert {path.name for path in tmp_path.iterdir()} >= {"dnnmig", WRITING, JOURNAL}
    (whole,) = listed(monkeypatch, tmp_path)
    assert loaded(monkeypatch, tmp_path, whole).total_episodes == 3
    assert main(command(tmp_path)) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"dnnmig", "config.json"}
    assert len(listed(monkeypatch, tmp_path)) == 2


def test_a_command_that_is_killed_in_the_middle_of_an_episode_leaves_nothing_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> Iterator[Any]:
        raise StoppedError

    with monkeypatch.context() as patched:  # what lies there when a process dies is what lies there without clearing up
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        patched.setattr(dataset, "replayed", dies)
        with pytest.raises(StoppedError):
            main(command(tmp_path))
    assert any((tmp_path / WRITING).rglob("data"))
    assert listed(monkeypatch, tmp_path) == []
    assert main(command(tmp_path)) == 0
    assert len(listed(monkeypatch, tmp_path)) == 2 and not (tmp_path / WRITING).exists()


def test_a_dataset_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with put_together(tmp_path) as folder:
            (folder / "a" / "b" / "c" / "data").mkdir(parents=True)
            (folder / "a" / "b" / "c" / "data" / text).touch()
    assert [path.name for path in (tmp_path / "a" / "b" / "c" / "data").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with (
        pytest.raises(ValueError, match=r"cannot write to .*: No such file or directory"),
        put_together(tmp_path / "x"),
    ):
        pass
