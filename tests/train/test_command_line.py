"""The command line of training: presets, checks, and help that is there at once."""

import os
import signal
import subprocess
import sys

import pytest

from train.command_line import check, parse, preset
from train.config import TrainConfig


def test_a_preset_gives_defaults_that_options_override():
    quick = parse(["--preset", "quick", "--seed", "3"])
    assert quick.total_steps == preset("quick").total_steps != TrainConfig().total_steps
    assert (quick.seed, quick.algorithm, quick.learning_rate, quick.settings) == (3, "self-labelling", None, ())
    assert parse(["--preset", "quick", "--algorithm", quick.algorithm, "--seed", "3"]) == quick
    for other in (["--algorithm", "ppo"], ["--algorithm=a2c"], ["--algorithm", "examples.my_classes:LouderPPO"]):
        found = parse(["--preset", "quick", *other])
        assert (found.warm_start, found.learning_rate, found.settings) == (quick.warm_start, None, ())
    assert parse(["--preset=quick", "--total-steps", "7"]).total_steps == 7
    grpo = ["--preset", "quick", "--algorithm", "grpo"]
    assert (parse(grpo).learning_rate, parse(grpo).settings) == (None, ("batch_size=512",))
    for given, expected in (("n_epochs=2", ("batch_size=512", "n_epochs=2")), ("batch_size=64", ("batch_size=64",))):
        assert parse([*grpo, "--settings", given]).settings == expected


def test_nested_options_and_the_folder_by_default():
    config = parse(["--network.width", "8", "--held-out.baselines", "device-only", "--algorithm", "dqn", "--seed", "2"])
    assert config.network.width == 8
    assert config.held_out.baselines == ("device-only",)
    assert str(config.out) == "runs/multi-user-dqn-joint-2-width=8"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--total-steps", "-1"], "--total-steps is -1; give 0 to 1000000000000"),
        (["--num-envs", "-1"], "--num-envs is -1"),
        (["--held-out.every", "0"], "--held-out.every is 0"),
        (["--seed", "-1"], "--seed is -1; give 0 to 4294967295"),
        (["--seed", "4294967296"], "--seed is 4294967296; give 0 to 4294967295"),
        (["--num-envs", "1000000"], "--num-envs is 1000000; give 1 to 65536"),
        (["--total-steps", "9" * 30], "--total-steps is 9{30}; give 0 to 1000000000000"),
        (["--network.width", "100000000"], "--network.width is 100000000; give 1 to 4096"),
        (["--network.context", "0"], "--network.context is 0; give 1 to 4096"),
        (["--threads", "100000"], "--threads is 100000; give 1 to 1024"),
        (["--learning-rate", "inf"], "--learning-rate is inf; give a positive, finite number"),
        (["--learning-rate", "nan"], "--learning-rate is nan; give a positive, finite number"),
        (["--learning-rate=-1"], "--learning-rate is -1.0; give a positive, finite number"),
        (["--learning-rate", "0"], "--learning-rate is 0.0; give a positive, finite number"),
    ],
)
def test_numbers_out_of_range_are_named(arguments, text):
    with pytest.raises(ValueError, match=text):
        parse(arguments)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--seed", "1", "--seed", "2"], "--seed 1 and --seed 2 are both given; keep one"),
        (["--preset", "quick", "--preset=quick"], "--preset quick and --preset quick are both given"),
        (["--resume", "a", "--resume", "b"], "--resume a and --resume b are both given"),
        (["--network.width", "8", "--network.width", "9"], "--network.width 8 and --network.width 9 are both given"),
        (["--settings"], "--settings names nothing"),
        (
            ["--algorithm", "dqn", "--begin-with", "pretrained"],
            "--begin-with pretrained needs probabilities of actions",
        ),
        (["--algorithm", "dqn", "--warm-start", "exact"], "--warm-start exact needs probabilities of actions"),
    ],
)
def test_no_option_is_dropped(arguments, text):
    with pytest.raises(ValueError, match=text):
        parse(arguments)


def test_there_need_be_no_baselines():
    assert parse(["--held-out.baselines", "--seed", "1"]).held_out.baselines == ()


def test_the_values_of_repeated_options_add_up():
    words = ["--generator", "num_users=2", "--seed", "3", "--generator", "max_layers=4", "chunk=1"]
    assert parse(words).generator == ("num_users=2", "max_layers=4", "chunk=1")
    assert parse(["--settings", "gamma=0.5", "--settings", "n_steps=3"]).settings == ("gamma=0.5", "n_steps=3")


def test_runs_that_differ_do_not_share_a_folder_by_default():
    different = [
        [],
        ["--settings", "gamma=0.5"],
        ["--settings", "gamma=0.5", "n_steps=64"],
        ["--generator", "num_users=4"],
        ["--generator", "num_users=(2,4)"],
        ["--network.context", "48"],
        ["--learning-rate", "0.01"],
        ["--num-envs", "64"],
        ["--warm-start", "exact"],
        ["--warm-start", "exact", "--warm-start-episodes", "7"],
        ["--warm-start", "runs/one/model.zip"],
        ["--begin-with", "runs/one/model.zip"],
        ["--begin-with", "runs/two/model.zip"],
        ["--begin-with", "pretrained"],
        ["--seed", "1"],
        ["--decisions", "two-phase"],
        ["--preset", "quick"],
        ["--generator", f"num_users={'1' * 200}"],
        ["--generator", f"num_users={'1' * 201}"],
    ]
    folders = [parse(arguments).out for arguments in different]
    assert len(set(folders)) == len(different)
    assert all(folder.parent.name == "runs" and len(folder.name) < 140 for folder in folders)
    assert folders[0].name == "multi-user-grpo-joint-0"
    assert folders[4].name == "multi-user-grpo-joint-0-num_users=2,4"
    assert folders[10].name == "multi-user-grpo-joint-0-runs_one_model.zip-1024"


def test_checking_again_changes_nothing():
    config = parse(["--family", "toy"])
    assert check(config) == config


@pytest.mark.parametrize("arguments", [["--help"], ["--no-such-option"], ["--preset", "slow"]])
def test_help_and_wrong_usage_import_nothing_heavy(arguments):
    code = (
        "import sys\nfrom train.__main__ import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    status = end.code\n"
        "heavy = {'torch', 'stable_baselines3', 'numba', 'matplotlib', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == (0 if arguments == ["--help"] else 2), done.stderr
    assert ("--total-steps" in done.stdout) == (arguments == ["--help"])


def test_a_folder_in_use_is_refused_before_anything_is_loaded(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"is not empty; choose another --out"):
        parse(["--out", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_help_that_nobody_reads_is_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        words = [sys.executable, "-m", "train", "--help"]
        found = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    finally:
        os.close(write)
    assert (found.returncode, found.stderr) == (128 + signal.SIGPIPE, "")
