"""Runs become agents that are used by the name "pretrained", and samples are asked for in the command."""

import json
import shlex
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

import agents.pretrained
from agents.policies.card import CARD
from agents.policies.trained import BEST_MODEL, read_card
from agents.pretrained import Check, read_agent_card
from dnnmig_env.families.registry import make_generator, scenarios
from evaluate.__main__ import main
from evaluate.compare import compare
from evaluate.compare.compare import roll_out_all
from evaluate.compare.results import Results
from evaluate.compare.rollout import Arena
from evaluate.compare.statistics import delay_ratios
from evaluate.publish.publish import _agent_card, _Training
from train.command_line import parse, preset
from train.commands import commands_before, training_command
from train.config import HeldOutConfig, NetworkConfig, TrainConfig
from train.folder import COMMANDS_BEFORE
from train.run import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    held_out = HeldOutConfig(scenarios=2, every=256, baselines=())
    assert train(TrainConfig("toy", total_steps=256, num_envs=16, out=out, held_out=held_out)) == 0
    return out


def published(run, folder, *arguments):
    defaults = {"--policies": "device-only,joint-efficiency", "--scenarios": "5"}
    words = [word for option, value in defaults.items() if option not in arguments for word in (option, value)]
    return main(["publish", str(run), "--out", str(folder), *words, *arguments])


def evaluated(folder, policies, *arguments):
    family = [] if "--family" in arguments else ["--family", "toy"]
    return main([*family, "--scenarios", "5", "--policies", policies, "--out", str(folder), *arguments])


def test_an_agent_is_published_whole_and_used_by_its_name(run, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "agents"
    assert published(run, folder, "--samples", "4") == 0
    card = read_agent_card("toy", folder)
    assert (card.family, card.algorithm, card.seed, card.steps) == ("toy", "grpo", 0, read_card(run).steps)
    assert sorted(path.name for path in folder.iterdir()) == ["toy.json", "toy.zip"]
    with zipfile.ZipFile(folder / "toy.zip") as archive:
        assert sorted(archive.namelist()) == [CARD, "policy.pth"]
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}  # whenever it is written
    assert (folder / "toy.zip").stat().st_size < (run / BEST_MODEL).stat().st_size
    assert "numpy" in card.trained_with
    assert (card.check.scenarios, card.check.seed, card.results.scenarios) == (1, 1, 5)
    assert "processor" in card.measured_with

    monkeypatch.setattr(agents.pretrained, "FOLDER", folder)
    names = ["pretrained", "pretrained@4", "device-only", "joint-efficiency"]
    assert evaluated(tmp_path / "out", ",".join(names)) == 0
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert list(found["policies"]) == list(card.results.policies) == names
    for name, figures in card.results.policies.items():
        assert figures.mean_delay_s == pytest.approx(found["policies"][name]["mean_delay_s"], rel=1e-9)
        if name != "pretrained":
            ratio = found["ratios"]["pretrained"][name]
            assert (figures.agent_ratio, *figures.agent_ratio_ci95) == pytest.approx((ratio["ratio"], *ratio["ci95"]))
    assert card.results.policies["pretrained@4"].agent_ratio >= 1.0 - 1e-9

    capsys.readouterr()
    assert evaluated(tmp_path / "single", "pretrained", "--family", "single") == 2
    assert "no pretrained agent for family 'single'; there are: toy." in capsys.readouterr().err


def test_nothing_is_replaced_unless_asked_for(run, tmp_path, capsys):
    (tmp_path / "toy.json").write_text("mine")
    assert published(run, tmp_path) == 2
    assert "toy.json is there already; add --overwrite" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["toy.json"]
    assert published(run, tmp_path, "--overwrite") == 0
    first = (tmp_path / "toy.zip").read_bytes()
    assert published(run, tmp_path, "--overwrite") == 0
    assert (tmp_path / "toy.zip").read_bytes() == first


def test_the_same_agent_is_published_whatever_the_number_of_workers(run, tmp_path, monkeypatch):
    cards, used, play = [], [], compare.play_all

    def noted(parts, workers, then):
        used.append(workers.workers)
        return play(parts, workers, then)

    monkeypatch.setattr(compare, "play_all", noted)
    for workers in ("1", "2"):
        words = ["--policies", "random,pso-ga:iterations=3:swarm=4+lmu", "--scenarios", "18", "--samples", "2"]
        assert published(run, tmp_path / workers, *words, "--workers", workers) == 0
        card = json.loads((tmp_path / workers / "toy.json").read_text())
        for figures in card["results"]["policies"].values():
            del figures["planning_s"]
        cards.append(card)
    assert cards[0] == cards[1]
    assert set(used) == {1, 2} and used[-1] == 2
    assert (tmp_path / "1" / "toy.zip").read_bytes() == (tmp_path / "2" / "toy.zip").read_bytes()


def test_what_cannot_be_published_is_one_line(run, tmp_path, capsys):
    cases = {
        "it has no config.json": (str(tmp_path), []),
        "--scenarios is 0": (str(run), ["--scenarios", "0"]),
        "--workers is 0; it must be at least 1": (str(run), ["--workers", "0"]),
        "--samples is -1; it must be at least 0": (str(run), ["--samples", "-1"]),
        "--policies has 'pretrained'": (str(run), ["--policies", "pretrained"]),
        "unknown planner 'best'": (str(run), ["--policies", "best"]),
    }
    for says, (folder, arguments) in cases.items():
        assert published(folder, tmp_path / "out", *arguments) == 2
        error = capsys.readouterr().err
        assert says in error
        assert error.startswith("error: ") and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(),
        replace(preset("quick"), seed=3),
        preset("quick", "ppo"),
        preset("quick", "grpo"),
        TrainConfig(
            "mobile",
            "a2c",
            total_steps=10,
            learning_rate=1e-4,
            settings=("gamma=0.99", "n_steps=4"),
            generator=("access_mbps=(5, 20)",),
            network=NetworkConfig(width=32),
            held_out=HeldOutConfig(baselines=()),
        ),
    ],
)
def test_the_command_of_a_run_is_the_one_that_was_typed(config):
    command = training_command(config)
    assert replace(parse(shlex.split(command)[3:]), out=None) == config
    if config == TrainConfig():
        assert command == "python -m train"


def test_samples_add_a_second_row_for_every_trained_model(run, tmp_path):
    assert evaluated(tmp_path / "out", f"{run},device-only", "--samples", "8") == 0
    found = json.loads((tmp_path / "out" / "summary.json").read_text())["policies"]
    assert list(found) == [str(run), f"{run}@8", "device-only"]
    assert found[f"{run}@8"]["mean_delay_s"] <= found[str(run)]["mean_delay_s"] * (1 + 1e-9)
    assert found[f"{run}@8"]["planning_s"] > 0
    assert evaluated(tmp_path / "again", f"{run}@8,{run}", "--samples", "8") == 0
    again = json.loads((tmp_path / "again" / "summary.json").read_text())["policies"]
    assert {name: again[name]["mean_delay_s"] for name in again} == {
        name: found[name]["mean_delay_s"] for name in (f"{run}@8", str(run))
    }


def test_samples_that_cannot_be_drawn_are_one_line(run, tmp_path, capsys):
    cases = {
        ("device-only", "--samples", "8"): "--samples is 8, but --policies names no trained model",
        (str(run), "--samples", "-1"): "--samples is -1; give 1 or more",
        (f"{run}@0",): "asks for 0 samples; give 1 or more",
        ("pso-ga+lmu@8",): "'pso-ga+lmu@8' asks for samples, but only trained models",
    }
    for (policies, *arguments), says in cases.items():
        assert evaluated(tmp_path / "out", policies, *arguments) == 2
        error = capsys.readouterr().err
        assert says in error
        assert error.startswith("error: ") and error.count("\n") == 1
    assert not Path(tmp_path / "out").exists()


def test_a_published_agent_is_measured_again_and_stays_what_it_is(run, tmp_path):
    assert published(run, tmp_path) == 0
    first = read_agent_card("toy", tmp_path)
    marked = first.model_copy(update={"trained_with": {"numpy": "of its training"}, "commands": ("once",), "seed": 7})
    (tmp_path / "toy.json").write_text(marked.model_dump_json())
    assert (
        published(tmp_path / "toy.zip", tmp_path, "--scenarios", "3", "--policies", "device-only", "--overwrite") == 0
    )
    again = read_agent_card("toy", tmp_path)
    assert (again.trained_with, again.commands, again.seed) == ({"numpy": "of its training"}, ("once",), 7)
    assert (again.sha256, again.steps, again.check) == (first.sha256, first.steps, first.check)
    assert (again.results.scenarios, list(again.results.policies)) == (3, ["pretrained", "device-only"])


def test_a_cards_intervals_are_those_of_its_seed():
    drawn = scenarios("single", 6, seed=3, max_layers=4)
    arena = Arena(make_generator("single").limits, drawn, "single", "joint")
    rollouts = roll_out_all(arena, ("efficiency", "device-only"), 3)
    results = Results("single", 3, {"pretrained": rollouts["efficiency"], "device-only": rollouts["device-only"]})
    training = _Training(0, (), {}, read_card(agents.pretrained.pretrained_file("single")))
    card = _agent_card(training, results, Check(scenarios=1, seed=0, mean_delay_s=1.0), "0" * 64)
    ratio, low, high = delay_ratios(results.delays_s, 3)["pretrained"]["device-only"]
    figures = card.results.policies["device-only"]
    assert (figures.agent_ratio, *figures.agent_ratio_ci95) == (ratio, low, high)
    assert (low, high) != delay_ratios(results.delays_s, 4)["pretrained"]["device-only"][1:]


def test_a_card_has_the_commands_of_the_model_with_which_a_run_began(run, tmp_path, monkeypatch):
    held_out = HeldOutConfig(scenarios=2, every=256, baselines=())

    def trained(name, begin_with, family="toy", **more):
        out = tmp_path / name
        config = TrainConfig(
            family, begin_with=begin_with, total_steps=32, num_envs=16, out=out, held_out=held_out, **more
        )
        assert train(config) == 0
        return out

    def commands(run, folder):
        assert published(run, tmp_path / folder, "--scenarios", "2", "--overwrite") == 0
        return read_agent_card("toy", tmp_path / folder).commands

    (first,) = commands(run, "first")
    second = trained("second", str(run))
    begun = commands(second, "second-agent")
    assert begun[:-1] == (first,)
    assert f"--begin-with {run}" in begun[-1]
    assert commands(trained("third", str(second / BEST_MODEL)), "third-agent")[:-1] == begun
    monkeypatch.setattr(agents.pretrained, "FOLDER", tmp_path / "second-agent")
    fourth = trained("fourth", "pretrained")
    assert commands(fourth, "fourth-agent")[:-1] == begun
    (tmp_path / "my.yaml").write_text("family: toy\n")
    own = commands(trained("own", "pretrained", str(tmp_path / "my.yaml")), "own-agent")
    assert own[:-1] == begun and f"--family {tmp_path / 'my.yaml'}" in own[-1]
    imitator = trained("imitator", str(run), warm_start="pretrained", warm_start_episodes=1)
    # published in the place of the agent with which it began, and once more: it is that agent itself now
    assert commands(fourth, "second-agent")[:-1] == begun
    assert commands(fourth, "second-agent")[:-1] == begun
    assert commands(imitator, "imitator-agent")[:-1] == begun  # not those of what is called "pretrained" today
    alone = trained("fifth", str(tmp_path / "first" / "toy.zip"))
    assert len(commands(alone, "fifth-agent")) == 1  # of a model without its run, nothing is known


def test_a_run_whose_history_is_damaged_or_missing_is_not_published(run, tmp_path, capsys):
    copied = tmp_path / "copied"
    shutil.copytree(run, copied)
    file = copied / COMMANDS_BEFORE
    cases = {"{}": "valid array", '["python", 1]': "valid string", None: "No such file or directory"}
    for content, says in cases.items():
        file.write_text(content) if content is not None else file.unlink()
        assert published(copied, tmp_path / "agent") == 2
        error = capsys.readouterr().err
        assert f"{file} cannot be read: " in error and says in error and "[] if there were none" in error
        assert not (tmp_path / "agent").exists()
    config = TrainConfig("toy", begin_with=str(copied), out=tmp_path / "next")
    assert commands_before(config, "toy") == ()  # of a former version's run, which may be begun with
    file.write_text("{}")
    with pytest.raises(ValueError, match=r"commands_before\.json cannot be read"):
        train(config)
    assert not (tmp_path / "next").exists()
