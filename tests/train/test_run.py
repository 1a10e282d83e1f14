"""Runs of training: what they leave, that they go on where they stopped, and that they spoil nothing."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.policies.card import CARD
from agents.policies.trained import BEST_MODEL, MODEL, load, read_card
from agents.pretrained import pretrained_families, pretrained_file
from dnnmig_env.families.registry import make_generator
from dnnmig_env.simulation.plan import Plan
from tests.damaged_model import damaged
from tests.overriding import overriding
from tests.tiny_training import TINY
from train.__main__ import main
from train.callbacks import TrainingDelays
from train.config import NetworkConfig, TrainConfig
from train.folder import COMMANDS_BEFORE, CONFIG, VERSIONS, begin
from train.held_out import HELD_OUT_SEED, Delays, HeldOut
from train.run import WARM_START, environment_seed

pytestmark = pytest.mark.usefixtures("quick_pictures")

TINY = [*TINY, "--settings", "n_steps=32", "--held-out.every", "256"]
TINY += ["--held-out.baselines", "device-only", "joint-efficiency"]
SMALL_DQN = ["--settings", "buffer_size=500", "learning_starts=64", "target_update_interval=16", "batch_size=16"]


def run(folder, *arguments):
    return main(overriding(TINY, "--out", str(folder), *arguments))


def points(folder):
    with (folder / "held_out.csv").open() as file:
        return [(int(row["step"]), float(row["mean_delay_s"])) for row in csv.DictReader(file)]


def curve(folder, tag="held_out/mean_delay_s"):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    # By step: event files begun in the same second, as only a test does, are read in the order of their names.
    scalars = sorted(events.Scalars(tag), key=lambda event: event.step)
    return [(event.step, pytest.approx(event.value, rel=1e-6)) for event in scalars], events.Tags()["scalars"]


def weights(file):
    return torch.cat([parameter.flatten() for parameter in load(file).network.parameters()]).detach()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "one"
    assert run(folder, "--total-steps", "768", "--seed", "5") == 0
    return folder


def test_a_run_leaves_models_configuration_versions_and_curves(finished):
    assert sorted(path.name for path in finished.iterdir()) == sorted(
        [MODEL, BEST_MODEL, "baselines.json", COMMANDS_BEFORE, CONFIG, VERSIONS, "held_out.csv", "tensorboard"]
    )
    assert json.loads((finished / COMMANDS_BEFORE).read_text()) == []  # it began with untrained weights
    config = json.loads((finished / "config.json").read_text())
    assert (config["family"], config["seed"], config["settings"]) == ("toy", 5, ["n_steps=32"])
    versions = json.loads((finished / "versions.json").read_text())
    assert versions["torch"].startswith(torch.__version__.split("+")[0])
    assert versions["commit"]
    assert [step for step, _ in points(finished)] == [0, 256, 512, 768]
    assert read_card(finished / MODEL).steps == 768


def test_a_run_tells_on_which_gpu_it_computes(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"the card {device}")
    for device, told in (("cuda:1", "the card cuda:1"), ("cpu", None)):
        begin(tmp_path / device, TrainConfig("toy"), device, before=())
        assert json.loads((tmp_path / device / "versions.json").read_text()).get("gpu") == told


def test_the_best_model_is_the_one_with_the_least_held_out_delay(finished):
    best_step, best_s = min(points(finished), key=lambda point: point[1])
    assert read_card(finished / BEST_MODEL).steps == best_step
    held_out = HeldOut(make_generator("toy"), "joint", 2)
    assert held_out.play(load(finished / BEST_MODEL, held_out.env)).mean_s == pytest.approx(best_s)
    last_s = points(finished)[-1][1]
    assert held_out.play(load(finished / MODEL, held_out.env)).mean_s == pytest.approx(last_s)


def test_one_chart_shows_the_learning_curve_and_each_baseline_as_a_line(finished):
    found, tags = curve(finished / "tensorboard" / "ppo")
    assert found == points(finished)
    assert {"rollout/ep_rew_mean", "rollout/mean_delay_s", "time/fps", "train/value_loss"} <= set(tags)
    device_only, _ = curve(finished / "tensorboard" / "device-only")
    assert device_only == [(0, 3.5), (768, 3.5)]  # (5 + 2) / 2 s, see the toy
    heuristic, _ = curve(finished / "tensorboard" / "joint-efficiency")
    assert heuristic[0][1].expected == heuristic[1][1].expected < 3.5


def test_the_same_seed_gives_the_same_model_and_another_seed_another(finished, tmp_path):
    assert run(tmp_path / "again", "--total-steps", "768", "--seed", "5") == 0
    assert torch.equal(weights(finished / MODEL), weights(tmp_path / "again" / MODEL))
    assert points(finished) == points(tmp_path / "again")
    assert run(tmp_path / "other", "--total-steps", "768", "--seed", "6") == 0
    assert not torch.equal(weights(finished / MODEL), weights(tmp_path / "other" / MODEL))


@pytest.mark.parametrize("algorithm", ["a2c", "dqn", "maskable-ppo"])
def test_a_run_is_resumed_to_a_larger_number_of_steps(algorithm, tmp_path):
    folder, arguments = tmp_path / "run", ["--algorithm", algorithm, "--held-out.baselines", "device-only"]
    if algorithm == "dqn":
        arguments += SMALL_DQN
    threads = threading.active_count()
    assert run(folder, "--total-steps", "256", *arguments) == 0
    assert threading.active_count() <= threads, "what writes the curves is left behind"
    before, first = weights(folder / MODEL), points(folder)
    assert main(["--resume", str(folder), "--total-steps", "512"]) == 0
    assert points(folder)[: len(first)] == first
    assert points(folder)[-1][0] >= 512
    assert curve(folder / "tensorboard" / algorithm)[0] == points(folder)
    assert not torch.equal(before, weights(folder / MODEL))
    assert read_card(folder / MODEL).steps >= 512
    assert json.loads((folder / "config.json").read_text())["total_steps"] == 512


def test_training_never_meets_the_held_out_scenarios():
    seeds = {environment_seed(seed, steps) + row for seed in range(50) for steps in (0, 1000) for row in range(256)}
    assert max(seeds) < HELD_OUT_SEED
    generator = make_generator("edge-cloud")
    held_out = HeldOut(generator, "joint", 4).scenarios
    trained = generator.draw(np.random.default_rng(environment_seed(0, 0)), 4)
    assert not {scenario.horizon_s for scenario in held_out} & {trained.scenario(row).horizon_s for row in range(4)}
    assert [one.horizon_s for one in HeldOut(generator, "joint", 4).scenarios] == [one.horizon_s for one in held_out]


def complaint(capsys, arguments):
    """Return the one line of an unsuccessful command."""
    capsys.readouterr()
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    return printed.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--family", "multiuser"], "unknown family 'multiuser'; did you mean 'multi-user'?"),
        (["--algorithm", "sac"], "unknown algorithm 'sac'"),
        (["--device", "gpu"], "--device 'gpu' cannot be used here; choose auto or cpu"),
        (["--settings", "speed=3"], "algorithm 'ppo' has no setting 'speed'"),
        (["--settings", "n_steps"], "write NAME=VALUE"),
        (["--generator", "users=3"], "family 'toy' has no option 'users'"),
        (["--held-out.baselines", "best"], "unknown planner 'best'"),
        (["--total-steps", "-5"], "--total-steps is -5"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing_behind(arguments, text, tmp_path, capsys):
    out = tmp_path / "run"
    assert text in complaint(capsys, overriding(TINY, "--out", str(out), *arguments))
    assert not out.exists()


def test_a_folder_with_something_in_it_is_left_alone(finished, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert f"is not empty; go on with --resume {finished}" in complaint(capsys, [*TINY, "--out", str(finished)])
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before
    (tmp_path / "thesis.txt").write_text("mine")
    assert "is not empty; choose another --out" in complaint(capsys, [*TINY, "--out", str(tmp_path)])
    assert "is a file" in complaint(capsys, [*TINY, "--out", str(tmp_path / "thesis.txt")])
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_what_cannot_be_resumed_is_named(finished, tmp_path, capsys):
    assert "no run to resume in" in complaint(capsys, ["--resume", str(tmp_path / "nowhere")])
    assert "has been trained for 768 of 768 steps" in complaint(capsys, ["--resume", str(finished)])
    longer = ["--resume", str(finished), "--total-steps", "9999"]
    card = json.loads(zipfile.ZipFile(finished / MODEL).read(CARD))
    of_another_network = damaged(finished / MODEL, tmp_path, CARD, json.dumps({**card, "context": 99}).encode())
    assert "--seed differs from the run" in complaint(capsys, [*longer, "--seed", "6"])
    for name, content, text in [
        (MODEL, b"PK not really", "model.zip is damaged"),
        (MODEL, of_another_network.read_bytes(), "model.zip do not fit this version's network; train again"),
        ("config.json", b'{"family": 3}', "config.json is damaged at"),
    ]:
        copy = tmp_path / text
        copy.mkdir()
        for kept in (MODEL, "config.json"):
            (copy / kept).write_bytes(content if kept == name else (finished / kept).read_bytes())
        before = (copy / "config.json").read_bytes()
        assert text in complaint(capsys, ["--resume", str(copy), "--total-steps", "9999"])
        assert (copy / "config.json").read_bytes() == before


ENDLESS = ["--total-steps", "100000000", "--held-out.baselines", "device-only"]


def has_two_points(folder):
    return (folder / "held_out.csv").exists() and len(points(folder)) >= 2


def check_stopped_and_saved(folder, printed):
    """Check what is left of an endless training that was stopped after two points; return its decisions."""
    steps = read_card(folder / MODEL).steps
    assert steps >= points(folder)[-1][0] >= 256
    last = printed.rstrip("\n").rpartition("\n")[2]
    assert last.startswith(f"Stopped and saved at step {steps} of 100000000")
    assert last.endswith(f". Go on with: python -m train --resume {folder}")
    assert "Traceback" not in printed
    assert not list(folder.glob(".*"))
    return steps


def test_a_signal_to_the_command_saves_and_says_how_to_go_on(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "train", *overriding(TINY, "--out", str(folder), *ENDLESS)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2], env=os.environ
    )
    while not has_two_points(folder):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 143
    steps = check_stopped_and_saved(folder, printed)
    assert main(["--resume", str(folder), "--total-steps", str(steps + 300)]) == 0
    assert read_card(folder / MODEL).steps >= steps + 300


@contextmanager
def sent_once(condition, number):
    """Send a signal to this process, which trains in its main thread, once a condition holds."""
    over = threading.Event()

    def wait():
        while not over.wait(0.05):
            if condition():
                os.kill(os.getpid(), number)
                return

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, capfd):
    folder = tmp_path / "run"
    with sent_once(lambda: has_two_points(folder), signal.SIGINT):
        assert run(folder, *ENDLESS) == 130
    check_stopped_and_saved(folder, capfd.readouterr().err)


def test_a_signal_before_training_leaves_nothing_behind(tmp_path, capfd):
    folder = tmp_path / "run"
    with sent_once(folder.exists, signal.SIGTERM):
        assert run(folder, "--warm-start", "exact", "--warm-start-episodes", "10000000") == 143
    assert capfd.readouterr().err.rstrip("\n").rpartition("\n")[2] == "Stopped before training began."
    assert not folder.exists()


def test_baselines_are_played_once_and_their_lines_grow(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    assert run(folder, "--total-steps", "256", "--held-out.baselines", "device-only") == 0
    kept = json.loads((folder / "baselines.json").read_text())
    assert kept == {
        "device-only": {"mean_delay_s": 3.5, "share_of_device_only": 1.0, "drawn_to": 256, "delays_s": [3.5, 3.5]}
    }
    (folder / "baselines.json").write_text(json.dumps({"device-only": {**kept["device-only"], "mean_delay_s": 3.25}}))
    for total, drawn in (("512", [(0, 3.5), (256, 3.5), (512, 3.25)]), ("600", None)):
        assert main(["--resume", str(folder), "--total-steps", total]) == 0
        if drawn is not None:  # what is drawn is what was kept
            assert curve(folder / "tensorboard" / "device-only")[0] == drawn
    assert [step for step, _ in curve(folder / "tensorboard" / "device-only")[0]] == [0, 256, 512, 640]


def test_a_run_that_was_stopped_does_not_draw_its_lines_again(tmp_path, monkeypatch):
    folder = tmp_path / "run"

    def stopped(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("train.interrupt.StopBetweenSteps._on_step", stopped)
        assert run(folder, "--total-steps", "256", "--held-out.baselines", "device-only") == 130
    assert main(["--resume", str(folder)]) == 0
    assert curve(folder / "tensorboard" / "device-only")[0] == [(0, 3.5), (256, 3.5)]


def test_baselines_are_drawn_inside_the_folder_whatever_they_are_called(finished, tmp_path):
    model = tmp_path / "elsewhere" / MODEL
    model.parent.mkdir()
    model.write_bytes((finished / MODEL).read_bytes())
    assert run(tmp_path / "run", "--total-steps", "64", "--held-out.baselines", str(model)) == 0
    assert [path.name for path in model.parent.iterdir()] == [MODEL]
    name = str(model).strip("/").replace("/", "_")
    assert curve(tmp_path / "run" / "tensorboard" / name)[0][0][0] == 0


def test_training_says_where_it_ends_if_that_is_later_than_asked_for(tmp_path, capsys):
    folder = tmp_path / "run"
    assert run(folder, "--total-steps", "200") == 0
    assert "Training ends at step 256, as 128 decisions are learned from at a time.\n" in capsys.readouterr().err
    assert read_card(folder / MODEL).steps == 256
    said = complaint(capsys, ["--resume", str(folder), "--total-steps", "256"])
    assert "has been trained for 256 of 256 steps" in said
    assert "give a --total-steps above 256" in said
    assert main(["--resume", str(folder), "--total-steps", "257"]) == 0
    assert "Training ends at step 384, as 128" in capsys.readouterr().err
    assert run(tmp_path / "whole", "--total-steps", "128") == 0
    assert "Training ends" not in capsys.readouterr().err


def stop_at(monkeypatch, step):
    """Stop trainings after a number of decisions."""

    def on_step(self):
        if self.num_timesteps >= step:
            raise KeyboardInterrupt
        return True

    monkeypatch.setattr("train.interrupt.StopBetweenSteps._on_step", on_step)


@pytest.mark.parametrize("algorithm", ["ppo", "grpo"])
def test_decisions_that_were_not_learned_from_do_not_count(algorithm, tmp_path, capsys, monkeypatch):
    folder, arguments = tmp_path / "run", ["--algorithm", algorithm, "--total-steps", "256"]
    arguments += ["--settings", "group_size=2", "batch_size=16"] if algorithm == "grpo" else []
    with monkeypatch.context() as patch:
        stop_at(patch, 140)
        assert run(folder, *arguments) == 130
    saved = read_card(folder / MODEL).steps
    assert 140 - 16 <= saved < 140
    said = re.search(r"Stopped and saved at step (\d+) of 256 \(forgetting (\d+) later", capsys.readouterr().err)
    assert said is not None
    assert (int(said[1]), int(said[1]) + int(said[2]) in range(140, 144)) == (saved, True)
    assert main(["--resume", str(folder)]) == 0
    # GRPO plays whole episodes: four side by side, of four decisions at most.
    most = 256 + 16 if algorithm == "grpo" else 256
    assert 256 <= read_card(folder / MODEL).steps <= most


def test_decisions_that_dqn_remembers_count(tmp_path, capsys, monkeypatch):
    stop_at(monkeypatch, 140)
    assert run(tmp_path / "run", "--algorithm", "dqn", *SMALL_DQN) == 130
    assert "Stopped and saved at step 140 of 3000000. Go on" in capsys.readouterr().err
    assert read_card(tmp_path / "run" / MODEL).steps == 140


def test_a_point_is_of_a_model_that_has_learned_from_all_decisions_until_then(tmp_path):
    folder = tmp_path / "run"
    assert run(folder, "--total-steps", "512", "--held-out.every", "100") == 0
    assert [step for step, _ in points(folder)] == [0, 128, 256, 384, 512]
    held_out = HeldOut(make_generator("toy"), "joint", 2)
    assert held_out.play(load(folder / MODEL, held_out.env)).mean_s == pytest.approx(points(folder)[-1][1])


def test_slow_networks_weigh_no_more_than_fast_ones_in_the_share_of_device_only():
    delays = Delays(np.array([1.0, 30.0]), np.array([4.0, 40.0]), Plan())
    assert delays.mean_s == 15.5
    assert delays.share_of_device_only == pytest.approx((1 / 4 + 3 / 4) / 2)


def test_a_resumed_run_and_a_warm_start_draw_scenarios_of_their_own():
    seeds = [environment_seed(seed, steps) for seed in (0, 1) for steps in (0, 1000, WARM_START)]
    assert len(set(seeds)) == 6
    assert max(seeds) < 2**32 < HELD_OUT_SEED


def test_the_published_agents_have_the_networks_of_which_the_guide_tells():
    usual = NetworkConfig()
    for family in pretrained_families():
        card, factor = read_card(pretrained_file(family)), 2 if family in ("edge-cloud", "multi-user", "mobile") else 1
        assert (card.width, card.context) == (factor * usual.width, factor * usual.context)


def test_delays_of_training_episodes_are_logged_relative_to_the_device_alone():
    logged, episodes = {}, [(1.0, 4.0), (30.0, 40.0)]
    callback = TrainingDelays()
    callback.model = SimpleNamespace(
        ep_info_buffer=[{"mean_delay_s": own_s, "device_only_delay_s": device_s} for own_s, device_s in episodes],
        logger=SimpleNamespace(record=logged.__setitem__),
    )
    callback._on_rollout_end()
    assert logged == {"rollout/mean_delay_s": 15.5, "rollout/share_of_device_only": 0.5}
