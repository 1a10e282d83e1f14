"""From the command line of training to its configuration: presets, resumed runs, and checks of what cannot work."""

from __future__ import annotations

import argparse
import hashlib
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import tyro

from agents.policy_networks import WIDEST
from dnnmig_env.files.command_line import joined
from train.config import PRESETS, HeldOutConfig, NetworkConfig, TrainConfig

_LONGEST_NAME = 120


def parse(arguments: Sequence[str] | None = None) -> TrainConfig:
    """Return the configuration of a command line; a command line that cannot be read ends the program with a message.

    Raises:
        ValueError: If an option is given twice, an option cannot work, or a run cannot be resumed, or not with these
            options.
    """
    arguments = joined(TrainConfig, sys.argv[1:] if arguments is None else arguments, ("--held-out.baselines",))
    first = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    first.add_argument("--preset", choices=PRESETS)
    first.add_argument("--algorithm")
    first.add_argument("--resume", type=Path)
    try:
        chosen, _ = first.parse_known_args(arguments)
    except argparse.ArgumentError:
        chosen = argparse.Namespace(preset=None, resume=None, algorithm=None)  # tyro will say what is wrong
    default = preset(chosen.preset, chosen.algorithm)
    if chosen.resume is not None:
        from train.folder import read_config

        default = replace(read_config(chosen.resume), resume=chosen.resume)
    config = tyro.cli(TrainConfig, prog="python -m train", default=default, args=arguments)
    if chosen.resume is not None:
        _check_same(config, default)
    elif chosen.preset is not None:  # settings that are given replace the preset's one by one
        given = {each.partition("=")[0] for each in config.settings}
        kept = tuple(each for each in default.settings if each.partition("=")[0] not in given)
        config = replace(config, settings=(*kept, *config.settings))
    return check(config)


def preset(name: str | None, algorithm: str | None = None) -> TrainConfig:
    """Return the defaults of a preset.

    Args:
        name: Name of the preset; None: no preset.
        algorithm: The algorithm, if it is not the preset's own; batches of grpo are chosen, too.
    """
    if name is None:
        return TrainConfig()
    quick = TrainConfig(
        preset="quick",
        algorithm="self-labelling",
        warm_start="joint-efficiency",
        warm_start_episodes=6000,
        total_steps=1_000_000,
        held_out=HeldOutConfig(scenarios=32, every=50_000, baselines=("untrained", "pso-ga+lmu", "joint-efficiency")),
    )
    if algorithm in (None, quick.algorithm):
        return quick
    quick = replace(quick, algorithm=algorithm)
    return replace(quick, settings=("batch_size=512",)) if algorithm == "grpo" else quick


def check(config: TrainConfig) -> TrainConfig:
    """Check what can be checked without loading anything; return the configuration with its folder filled in.

    Raises:
        ValueError: If an option cannot work; the message names it, its value and the remedy.
    """
    counts = {
        "--total-steps": (config.total_steps, 0, 10**12),
        "--num-envs": (1 if config.num_envs is None else config.num_envs, 1, 2**16),
        "--threads": (config.threads, 1, 1024),
        "--warm-start-episodes": (config.warm_start_episodes, 1, 10**7),
        "--network.width": (config.network.width, 1, WIDEST),
        "--network.context": (config.network.context, 1, WIDEST),
        "--held-out.scenarios": (config.held_out.scenarios, 1, 10**5),
        "--held-out.every": (config.held_out.every, 1, 10**12),
        "--next-cell-steps": (config.next_cell_steps, 0, 10**9),
        "--seed": (config.seed, 0, 2**32 - 1),
    }
    for option, (value, least, most) in counts.items():
        if not least <= value <= most:
            raise ValueError(f"{option} is {value}; give {least} to {most}.")
    if config.learning_rate is not None and not 0.0 < config.learning_rate < math.inf:
        raise ValueError(f"--learning-rate is {config.learning_rate}; give a positive, finite number.")
    for option, begun in (("--warm-start", config.warm_start), ("--begin-with", config.begin_with)):
        if config.algorithm == "dqn" and begun is not None:
            raise ValueError(f"{option} {begun} needs probabilities of actions, which dqn lacks; take grpo.")
    if config.seeds or config.workers != 1:
        return _checked_seeds(config)
    if config.resume is not None:
        if config.out not in (None, config.resume):
            raise ValueError(
                f"--out {config.out} is given beside --resume {config.resume}, but a run goes on in its own folder; "
                "leave --out out, or copy the folder and resume the copy."
            )
        return replace(config, out=config.resume)
    out = Path("runs") / _folder_name(config) if config.out is None else config.out
    from train.folder import check_free

    check_free(out)  # at once, before anything that takes long is imported
    return replace(config, out=out)


def _checked_seeds(config: TrainConfig) -> TrainConfig:
    """Check the options of several runs; each gets a folder of its own when it begins."""
    if not config.seeds:
        raise ValueError(f"--workers is {config.workers}, but there is one run; name several --seeds.")
    if config.workers < 1:
        raise ValueError(f"--workers is {config.workers}; it must be at least 1.")
    if config.resume is not None:
        raise ValueError(f"--seeds begins runs, but --resume {config.resume} goes on with one; resume them one by one.")
    if config.seed != 0:
        raise ValueError(f"--seed {config.seed} and --seeds are both given; keep one.")
    for place, seed in enumerate(config.seeds):
        if not 0 <= seed < 2**32:
            raise ValueError(f"--seeds has {seed}; give 0 to {2**32 - 1}.")
        if seed in config.seeds[:place]:
            raise ValueError(f"--seeds has {seed} twice; name every seed once.")
    return config


def _folder_name(config: TrainConfig) -> str:
    """Return a name that tells a run from others, so that they do not share a folder by default."""
    family = Path(config.family).stem if config.family.endswith((".yaml", ".yml", ".json")) else config.family
    name = re.sub(r"[^\w.-]+", "_", f"{family}-{config.algorithm}-{config.decisions}-{config.seed}")
    unusual: list[str] = [] if config.policy_class is None else [config.policy_class]
    if config.preset is not None:
        unusual.append(config.preset)
    if config.begin_with is not None:
        unusual.append(f"from-{config.begin_with}")
    if config.warm_start is not None:
        unusual.append(f"{config.warm_start}-{config.warm_start_episodes}")
    for setting in ("num_envs", "learning_rate", "next_cell_steps"):
        if getattr(config, setting) != getattr(TrainConfig, setting):
            unusual.append(f"{setting}={getattr(config, setting)}")
    unusual += [*config.settings, *config.generator]
    unusual += [
        f"{one.name}={value}"
        for one in fields(NetworkConfig)
        if (value := getattr(config.network, one.name)) != one.default
    ]
    for words in unusual:
        plain = re.sub(r"[\s()'\"]+", "", words)
        name += "-" + re.sub(r"[^A-Za-z0-9.,=_+@-]+", "_", plain).strip("_")
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _check_same(config: TrainConfig, saved: TrainConfig) -> None:
    for one in fields(TrainConfig):
        if one.name not in ("total_steps", "device", "resume", "out") and getattr(config, one.name) != getattr(
            saved, one.name
        ):
            raise ValueError(
                f"--{one.name.replace('_', '-')} differs from the run in {config.resume}; leave it out to resume, "
                "or train anew with another --out."
            )
