"""Several seeds at once: each is the run that it would be by itself, in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from train.__main__ import main
from train.command_line import parse

ROOT = Path(__file__).parents[2]
SHORT = ["--family", "toy", "--algorithm", "a2c", "--held-out.baselines", "--held-out.scenarios", "2", "--device=cpu"]


def weights(folder: Path) -> bytes:
    with zipfile.ZipFile(folder / "model.zip") as archive:
        return archive.read("policy.pth")


def test_every_seed_is_the_run_that_it_would_be_by_itself(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = [*SHORT, "--total-steps", "200"]
    assert main([*words, "--seeds", "3", "5", "--workers", "2", f"--out={tmp_path / 'many'}"]) == 0
    said = capfd.readouterr().out
    assert f"seed 3: Saved in {tmp_path / 'many-3'}" in said and f"seed 5: Saved in {tmp_path / 'many-5'}" in said
    assert main([*words, "--seed", "5", "--out", str(tmp_path / "alone")]) == 0
    assert weights(tmp_path / "many-5") == weights(tmp_path / "alone") != weights(tmp_path / "many-3")
    configs = [(tmp_path / name / "config.json").read_text() for name in ("many-5", "alone")]
    assert configs[0] == configs[1] and json.loads(configs[0])["seed"] == 5
    assert "seeds" not in json.loads(configs[0])
    assert main([*words, "--seeds", "5", "7", "--out", str(tmp_path / "many")]) == 2  # nothing begins
    assert f"folder {tmp_path / 'many-5'} is not empty; go on with --resume" in capfd.readouterr().err
    assert not (tmp_path / "many-7").exists()


@pytest.mark.slow
def test_a_signal_saves_every_run(tmp_path: Path) -> None:
    words = [*SHORT, "--total-steps", "100000000", "--seeds", "0", "1", "2", "--workers", "2", "--out", "many"]
    process = subprocess.Popen(
        [sys.executable, "-m", "train", *words], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    while not all((tmp_path / f"many-{seed}" / "held_out.csv").exists() for seed in (0, 1)):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=100)
    assert process.returncode == 128 + signal.SIGTERM
    for seed in (0, 1):
        assert f"Go on with: python -m train --resume many-{seed}" in said
    assert "Seeds that were not begun: 2." in said
    assert not (tmp_path / "many-2").exists()


@pytest.mark.slow
def test_a_run_that_fails_ends_no_other(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "many-1").mkdir()
    (tmp_path / "many-1").chmod(0o500)
    words = [*SHORT, "--total-steps", "10", "--seeds", "1", "2", "--out", str(tmp_path / "many")]
    if os.access(tmp_path / "many-1", os.W_OK):  # a superuser may write everywhere: fail otherwise
        (tmp_path / "many-1" / ".lock").symlink_to(tmp_path / "elsewhere")
    assert main(words) == 2
    said = capfd.readouterr()
    assert "seed 1: error: " in said.out and "seed 1: ended with exit status 2" in said.err
    assert (tmp_path / "many-2" / "model.zip").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--workers", "2"], "--workers is 2, but there is one run; name several --seeds"),
        (["--seeds", "1", "2", "--workers", "0"], "--workers is 0; it must be at least 1"),
        (["--seeds", "1", "2", "--seed", "3"], "--seed 3 and --seeds are both given; keep one"),
        (["--seeds", "1", "1"], "--seeds has 1 twice"),
        (["--seeds", "1", "-1"], "--seeds has -1; give 0 to 4294967295"),
    ],
)
def test_options_that_cannot_work(words: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(words)


def test_folders_by_default_are_those_of_single_runs() -> None:
    from train.seeds import folder_of

    config = parse(["--seeds", "1", "2", "--algorithm", "ppo"])
    assert [str(folder_of(config, seed)) for seed in config.seeds] == [
        "runs/multi-user-ppo-joint-1",
        "runs/multi-user-ppo-joint-2",
    ]
