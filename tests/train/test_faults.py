"""What goes wrong in a training: full disks, crashes, numbers that are not finite, two trainings in a folder."""

import csv
import json
import os
import re
import resource
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import train.callbacks
import train.charts
import train.run
from agents.learning.masked_policy import NotFiniteError
from agents.policies.trained import BEST_MODEL, MODEL, load, read_card
from dnnmig_env.files.folder_lock import LOCK, locked
from dnnmig_env.simulation.plan import Plan
from tests.overriding import overriding
from tests.tiny_training import TINY
from train.__main__ import main
from train.callbacks import OnlyFinite
from train.held_out import Delays

pytestmark = pytest.mark.usefixtures("quick_pictures")

TINY = [*TINY, "--held-out.every", "64", "--held-out.baselines", "device-only", "--settings", "n_steps=16"]
TINY += ["--total-steps", "256"]


def run(folder, *arguments):
    return main(overriding(TINY, "--out", str(folder), *arguments))


def complaint(capsys, *arguments):
    """Return the last line of an unsuccessful command on stderr."""
    capsys.readouterr()
    assert main(list(arguments)) == 2
    line = capsys.readouterr().err.rstrip("\n").rpartition("\n")[2]
    assert "error: " in line
    return line.partition("error: ")[2]


def steps(folder):
    with (folder / "held_out.csv").open() as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def best_step(folder):
    with (folder / "held_out.csv").open() as file:
        return min((float(row["mean_delay_s"]), int(row["step"])) for row in csv.DictReader(file))[1]


def full(*_, **__):
    raise OSError(28, "No space left on device")


@pytest.fixture
def better_and_better(monkeypatch):
    """Let every later model be a better one on held-out scenarios."""
    delays_s = iter(np.arange(1.0, 0.0, -0.001))

    def play(*_):
        return Delays(np.full(2, next(delays_s)), np.full(2, 2.0), Plan())

    monkeypatch.setattr(train.callbacks.HeldOut, "play", play)


def failing(monkeypatch, module, name, at, error=full):
    """Let the `at`-th call of a function fail."""
    real, calls = getattr(module, name), []

    def function(*arguments, **options):
        calls.append(arguments)
        return error() if len(calls) == at else real(*arguments, **options)

    monkeypatch.setattr(module, name, function)


@pytest.mark.parametrize("at", [4, 5])  # the model, or the best model, of the second point; the first save is untrained
def test_no_point_is_better_than_the_best_model_in_the_folder(at, tmp_path, better_and_better, monkeypatch, capsys):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        failing(patch, train.run, "save", at)
        line = complaint(capsys, *overriding(TINY, "--out", str(folder)))
    assert f"cannot write to {folder} at step 64: No space left on device. The model saved last, of step " in line
    assert line.endswith(f"is kept. Once that is put right, go on with: python -m train --resume {folder}")
    assert steps(folder) == [0]
    assert read_card(folder / BEST_MODEL).steps == 0
    assert main(["--resume", str(folder)]) == 0
    assert steps(folder) == [0, 64, 128, 192, 256]
    assert read_card(folder / BEST_MODEL).steps == best_step(folder) == 256
    assert "ppo (step 256)" in capsys.readouterr().out


def crash():
    raise SystemExit(9)  # nothing of the program's own is done any more


def test_after_a_crash_between_the_model_and_its_point_the_point_is_measured_again(
    tmp_path, better_and_better, monkeypatch
):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        failing(patch, train.callbacks, "replace_text", 3, crash)
        run(folder)
    assert steps(folder) == [0, 64]
    assert read_card(folder / BEST_MODEL).steps == read_card(folder / MODEL).steps == 128
    assert main(["--resume", str(folder)]) == 0
    assert steps(folder) == [0, 64, 128, 192, 256]
    assert read_card(folder / BEST_MODEL).steps == best_step(folder)


def test_a_missing_best_model_is_not_praised(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "run"
    assert run(folder) == 0
    before = (folder / "held_out.csv").read_text()
    (folder / BEST_MODEL).unlink()
    assert main(["--resume", str(folder), "--total-steps", "320"]) == 0
    assert (folder / "held_out.csv").read_text().startswith(before)
    assert read_card(folder / BEST_MODEL).steps == 320
    assert "ppo (step 320)" in capsys.readouterr().out


def test_a_full_disk_at_the_first_write_leaves_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, "fsync", full)
    line = complaint(capsys, *overriding(TINY, "--out", str(tmp_path / "run")))
    assert (
        line == f"cannot write to {tmp_path / 'run'}: No space left on device; free some space, or name another --out."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_file_size_limit_ends_a_real_training_in_one_line(tmp_path):
    folder = tmp_path / "run"
    small = ["--total-steps", "1000000", "--held-out.every", "4", "--network.context", "4", "--network.width", "16"]
    arguments = overriding(TINY, "--out", str(folder), *small)
    process = subprocess.run(
        [sys.executable, "-m", "train", *arguments],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (24_000, 24_000)),
        check=False,
        timeout=120,
    )
    assert process.returncode == 2
    assert "Traceback" not in process.stderr
    last = process.stderr.rstrip("\n").rpartition("\n")[2]
    assert last.startswith(f"error: cannot write to {folder} at step ")
    assert "File too large. The model saved last, of step " in last
    kept = read_card(folder / MODEL).steps
    assert f"of step {kept}, is kept" in last
    assert kept >= steps(folder)[-1]
    assert read_card(folder / BEST_MODEL).steps in steps(folder)
    assert not list(folder.glob(".*"))  # neither a lock nor half a file


@pytest.mark.parametrize("algorithm", ["ppo", "a2c", "dqn", "maskable-ppo", "grpo", "self-labelling"])
def test_weights_that_are_not_finite_end_the_training(algorithm, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "run"
    arguments = ["--algorithm", algorithm, "--held-out.every", "1000000", "--total-steps", "3000"]
    if algorithm == "dqn":
        arguments += ["--settings", "buffer_size=500", "batch_size=16", "learning_starts=16"]
        arguments += ["target_update_interval=16"]
    elif algorithm in ("grpo", "self-labelling"):
        arguments += ["--settings", "group_size=2", "batch_size=16"]
    elif algorithm == "a2c":
        arguments += ["--settings", "n_steps=8"]
    real = torch.optim.Adam.step

    def poisoned(self, *given, **options):
        result = real(self, *given, **options)
        with torch.no_grad():
            self.param_groups[0]["params"][0].view(-1)[0] = torch.nan
        return result

    monkeypatch.setattr(torch.optim.Adam, "step", poisoned)
    line = complaint(capsys, *overriding(TINY, "--out", str(folder), *arguments))
    assert line.startswith("training has failed at step ")
    assert int(line.split()[5].rstrip(":")) <= 256  # at the first occasion
    assert " not finite. The model saved last, of step 0, is kept in " in line
    assert line.endswith("train anew with a smaller --learning-rate.")
    assert steps(folder) == [0]
    for name in (MODEL, BEST_MODEL):
        assert load(folder / name).card.steps == 0


def test_losses_and_values_that_are_not_finite_end_the_training():
    callback = OnlyFinite()
    callback.model = SimpleNamespace(
        logger=SimpleNamespace(name_to_value={"train/explained_variance": np.nan, "train/value_loss": 1.0}),
        policy=torch.nn.Linear(2, 2),
        rollout_buffer=SimpleNamespace(rewards=np.ones(3), values=np.ones(3), log_probs=np.ones(3)),
    )
    callback._on_rollout_start()
    callback._on_rollout_end()
    callback.model.rollout_buffer.values[1] = np.inf
    with pytest.raises(NotFiniteError, match="values of the latest decisions are not finite"):
        callback._on_rollout_end()
    callback.model.logger.name_to_value["train/value_loss"] = np.inf
    with pytest.raises(NotFiniteError, match=r"train/value_loss \(inf\) is not finite"):
        callback._on_training_end()


def test_a_learning_rate_that_is_too_large_ends_the_training(tmp_path, capsys):
    line = complaint(capsys, *overriding(TINY, "--out", str(tmp_path / "run"), "--learning-rate", "1e30"))
    assert re.match(r"training has failed at step \d+: scores or values of the policy network are not finite", line)


def test_two_trainings_do_not_share_a_folder(tmp_path, capsys, monkeypatch):
    def never(*_):
        raise AssertionError("imitated before the folder was locked")

    monkeypatch.setattr(train.run, "imitate", never)
    folder = tmp_path / "run"
    with locked(folder):
        arguments = overriding(TINY, "--out", str(folder), "--warm-start", "exact")
        assert f"folder {folder} is in use by process {os.getpid()} on " in complaint(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []
    assert run(folder) == 0
    with locked(folder):
        line = complaint(capsys, "--resume", str(folder), "--total-steps", "512")
        assert f"folder {folder} is in use by process {os.getpid()} on " in line
    (folder / LOCK).write_text("12345 on a machine that was switched off\n")  # locks nothing
    assert main(["--resume", str(folder), "--total-steps", "320"]) == 0
    assert not (folder / LOCK).exists()


def test_a_lock_file_that_was_left_behind_does_not_fill_a_folder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / LOCK).write_text("1 on nowhere\n")
    assert run(folder) == 0


@pytest.mark.parametrize("out", ["/proc/run", "/dev/null/run", "/dev/null"])
def test_impossible_folders_are_refused_before_the_teacher_plays(out, capsys, monkeypatch):
    monkeypatch.setattr(train.run, "imitate", lambda *_: pytest.fail("the teacher has played"))
    line = complaint(capsys, *overriding(TINY, "--out", out, "--warm-start", "exact"))
    assert line.startswith((f"cannot write to folder {out}: ", f"{out} is a file"))


def test_threads_of_tensorboard_fail_in_silence_as_the_training_says_why(capsys):
    hook = train.charts.without_writers(threading.__excepthook__)
    kind = type("Writer", (threading.Thread,), {"__module__": "tensorboard.summary.writer"})
    for thread, error, is_silent in [(kind(), OSError(28, "x"), True), (threading.Thread(), OSError(28, "x"), False)]:
        hook(threading.ExceptHookArgs((type(error), error, None, thread)))
        assert (capsys.readouterr().err == "") == is_silent


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("held_out.csv", b"step,mean_delay_s,share_of_device_only\n0,abc,1\n", "held_out.csv is damaged at line 2, wh"),
        ("held_out.csv", b"step,mean_delay_s,share_of_device_only\n0,1.0,1.0\n64,1.0", "is damaged at line 3, which"),
        ("held_out.csv", b"step,mean_delay_s,share_of_device_only\n0,nan,1\n", "is damaged at line 2"),
        ("held_out.csv", b"step,mean_delay_s,share_of_device_only\n64,1,1\n64,1,1\n", "is damaged at line 3"),
        ("held_out.csv", b"\xff\xfe", "held_out.csv cannot be read: it is not UTF-8 text"),
        ("baselines.json", b"[]", "baselines.json is damaged: lines: []; must be a mapping"),
        ("baselines.json", b'{"device-only": {"mean_delay_s": "x"}}', "baselines.json is damaged: lines"),
        ("config.json", b"[]", "config.json is damaged: it is no mapping of names to values"),
        ("config.json", b'{"seed": "1"}', "config.json is damaged at seed: Input should be a valid integer"),
        ("config.json", b'{"sed": 1}', "config.json has 'sed', which this version does not know; did you mean 'seed'?"),
        ("config.json", b"\xff", "config.json is damaged: it is not UTF-8 text"),
        ("config.json", b"[" * 100_000, "config.json is damaged: it is nested too deeply"),
        ("config.json", b'{"seed": 1, "seed": 2}', "config.json is damaged: the key 'seed' appears twice"),
        (BEST_MODEL, b"PK", "best_model.zip is damaged"),
        (MODEL, None, "model.zip is missing, so that no training can go on"),
    ],
)
def test_damaged_files_of_a_run_are_named(finished, tmp_path, name, content, text, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    for file in finished.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    assert text in complaint(capsys, "--resume", str(folder), "--total-steps", "512")


def test_a_run_goes_on_in_its_own_folder(finished, tmp_path, capsys):
    line = complaint(capsys, "--resume", str(finished), "--total-steps", "512", "--out", str(tmp_path / "new"))
    assert line.startswith(
        f"--out {tmp_path / 'new'} is given beside --resume {finished}, but a run goes on in its own"
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "one"
    assert run(folder, "--total-steps", "64") == 0
    return folder


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"family": "single"}, "was trained with family 'toy', but config.json beside it says 'single'; restore"),
        ({"network": {"width": 8, "context": 16}}, "was trained with width 32, but config.json"),
        ({"settings": ["n_steps=16", "gamma=0.5"]}, "was trained with gamma 1.0, but config.json beside it says 0.5"),
        ({"algorithm": "a2c", "settings": []}, "was trained with algorithm 'ppo', but config.json beside it says 'a2c"),
    ],
)
def test_a_configuration_that_is_not_of_the_model_is_refused(finished, tmp_path, change, text, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / MODEL).write_bytes((finished / MODEL).read_bytes())
    config = json.loads((finished / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    assert text in complaint(capsys, "--resume", str(folder), "--total-steps", "512")
