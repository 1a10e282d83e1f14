"""The command line of training: presets, checks, and help that is there at once."""

import subprocess
import sys

import pytest

from train.command_line import check, parse, preset
from train.config import TrainConfig


def test_a_preset_gives_defaults_that_options_override():
    quick = parse(["--preset", "quick", "--seed", "3"])
    assert quick.total_steps == preset("quick").total_steps != TrainConfig().total_steps
    assert quick.seed == 3
    assert parse(["--preset=quick", "--total-steps", "7"]).total_steps == 7


def test_nested_options_and_the_folder_by_default():
    config = parse(["--network.width", "8", "--held-out.baselines", "device-only", "--algorithm", "dqn", "--seed", "2"])
    assert config.network.width == 8
    assert config.held_out.baselines == ("device-only",)
    assert str(config.out) == "runs/multi-user-dqn-joint-2-width=8"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--total-steps", "0"], "--total-steps is 0; give 1 to 1000000000000"),
        (["--num-envs", "-1"], "--num-envs is -1"),
        (["--held-out.every", "0"], "--held-out.every is 0"),
        (["--seed", "-1"], "--seed is -1; give 0 to 4294967295"),
        (["--seed", "4294967296"], "--seed is 4294967296; give 0 to 4294967295"),
        (["--learning-rate", "0"], "--learning-rate is 0.0; give a positive, finite number"),
    ],
)
def test_numbers_out_of_range_are_named(arguments, text):
    with pytest.raises(ValueError, match=text):
        parse(arguments)


def test_checking_again_changes_nothing():
    config = parse(["--family", "toy"])
    assert check(config) == config


@pytest.mark.parametrize("arguments", [["--help"], ["--no-such-option"], ["--preset", "slow"]])
def test_help_and_wrong_usage_import_nothing_heavy(arguments):
    code = (
        "import sys\nfrom train.__main__ import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    status = end.code\n"
        "heavy = {'torch', 'stable_baselines3', 'numba', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == (0 if arguments == ["--help"] else 2), done.stderr
    assert ("--total-steps" in done.stdout) == (arguments == ["--help"])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--observation", "plain", "--network.blind", "gain"], "--network.blind is gain, but hides features of cand"),
        (["--network.blind", "gain", "charm"], "--network.blind has 'charm'; choose among horizon_left, "),
        (["--network.blind", "action"], "--network.blind has 'action'; choose among"),
    ],
)
def test_what_nobody_can_be_blind_to_is_named(arguments, text):
    with pytest.raises(ValueError, match=text):
        parse(arguments)
