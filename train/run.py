"""One training run: checks, folder, baselines, learning, saved models."""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from stable_baselines3.common import logger
from tqdm import tqdm

from agents.learning.algorithms import CANDIDATES_REWARD, TRAINING_REWARD, algorithm, check_settings, make_model
from agents.learning.imitation import EPOCHS, demonstrate, imitate
from agents.learning.sb3_vec_env import Sb3VecEnv
from agents.policies.policy import Policy, check_policy_name, resolve_policy
from agents.policies.trained import BEST_MODEL, FORMAT, MODEL, load, save
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import Generator, make_generator
from dnnmig_env.files.named_values import named_values
from train import folder
from train.callbacks import LearningCurve, Progress, TrainingDelays, draw_line
from train.config import TrainConfig
from train.held_out import Delays, HeldOut
from train.interrupt import StopBetweenSteps

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

INTERRUPTED = 130
"""Exit status after Ctrl-C."""

WARM_START, WARM_START_ROWS = 2**32, 16
"""The first stands for the number of steps in the seed of a warm start's scenarios; the second is the number of its
episodes that are played side by side."""


def train(config: TrainConfig) -> int:
    """Train as configured, or go on with a run; return the exit status, which is 0, or 130 after Ctrl-C.

    Args:
        config: The configuration, from `train.command_line.parse`.

    Raises:
        ValueError: If the configuration cannot work; nothing has been written then.
    """
    torch.set_num_threads(config.threads)
    out = Path(config.out or "runs")
    options = named_values("--generator", config.generator)
    generator = make_generator(config.family, **options)
    for name in (*config.held_out.baselines, *filter(None, [config.warm_start])):
        check_policy_name(name, config.family)
    device = _device(config.device)
    if config.resume is None:
        folder.check_free(out)
    model = (_new_model if config.resume is None else _saved_model)(config, generator, device)
    held_out = HeldOut(generator, config.decisions, config.held_out.scenarios, config.observation_kind)
    baselines = {name: resolve_policy(name, held_out.env, 0, config.family) for name in config.held_out.baselines}
    if config.resume is None:
        if config.warm_start is not None:
            _warm_start(model, config, generator, config.warm_start)
        folder.begin(out, config)
        _save(model, config, out, is_best=False)
    else:
        folder.write_config(out, config)
    return _learn(model, config, held_out, baselines, out)


def environment_seed(seed: int, steps: int) -> int:
    """Return the seed of the training environments, below 2**32; it is another one whenever a run is resumed."""
    return int(np.random.SeedSequence([seed, steps]).generate_state(1)[0])


def _new_model(config: TrainConfig, generator: Generator, device: str) -> BaseAlgorithm:
    settings = _settings(config)
    check_settings(config.algorithm, settings)
    env = _environments(config, generator)
    is_warm_started = config.warm_start is not None
    model = make_model(config.algorithm, env, config.seed, device, settings, asdict(config.network), is_warm_started)
    env.seed(environment_seed(config.seed, 0))
    return model


def _warm_start(model: BaseAlgorithm, config: TrainConfig, generator: Generator, teacher: str) -> None:
    """Let the model's policy network imitate a teacher."""
    env = _batch(config, generator, min(WARM_START_ROWS, config.warm_start_episodes), "Disabled")
    seed = environment_seed(config.seed, WARM_START)
    with tqdm(desc=f"{teacher} plays", total=config.warm_start_episodes, unit=" episodes", leave=False) as bar:
        shown = demonstrate(teacher, env, config.warm_start_episodes, seed, partial(bar.update, 1))
    with tqdm(desc=f"imitating {teacher}", total=EPOCHS, unit=" epochs", leave=False) as bar:
        alike = imitate(model, shown, config.seed, partial(bar.update, 1))
    print(f"Warm start: decides as {teacher} in {100 * alike:.1f} % of {len(shown.action)} decisions.", file=sys.stderr)


def _saved_model(config: TrainConfig, generator: Generator, device: str) -> BaseAlgorithm:
    file = Path(config.out or "") / MODEL
    card = load(file).card  # which says what is wrong with a file better than SB3 does
    if card.format != FORMAT:
        raise ValueError(
            f"{file} was written by another version of this project (format {card.format}, not {FORMAT}), and its "
            "training cannot go on; evaluate it as it is, or train anew with another --out."
        )
    steps = card.steps
    if steps >= config.total_steps:
        raise ValueError(
            f"{file} has been trained for {steps} of {config.total_steps} steps; give a larger --total-steps to go on."
        )
    model_class: Any = algorithm(config.algorithm).model_class
    model: BaseAlgorithm = model_class.load(file, env=_environments(config, generator), device=device)
    model.set_random_seed(environment_seed(config.seed, steps))
    return model


def _environments(config: TrainConfig, generator: Generator) -> Sb3VecEnv:
    count = config.num_envs or algorithm(config.algorithm).num_envs
    return Sb3VecEnv(_batch(config, generator, count, "SameStep"))


def _batch(config: TrainConfig, generator: Generator, rows: int, autoreset_mode: str) -> MigrationVectorEnv:
    kind = config.observation_kind
    options: Any = CANDIDATES_REWARD if kind == "candidates" else TRAINING_REWARD
    return MigrationVectorEnv(
        rows, generator, config.decisions, autoreset_mode=autoreset_mode, observation=kind, **options
    )


def _settings(config: TrainConfig) -> dict[str, Any]:
    settings = named_values("--settings", config.settings)
    return settings if config.learning_rate is None else {"learning_rate": config.learning_rate, **settings}


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ValueError(f"--device {name!r} cannot be used here; choose auto or cpu.") from None
    return name


def _learn(
    model: BaseAlgorithm,
    config: TrainConfig,
    held_out: HeldOut,
    baselines: dict[str, Policy],
    out: Path,
) -> int:
    steps = model.num_timesteps
    curve = None
    progress = None
    interruption = StopBetweenSteps()
    try:
        lines = _play(baselines, held_out, out / folder.CURVES, config.total_steps)
        model.set_logger(logger.configure(str(out / folder.CURVES / config.algorithm), ["tensorboard"]))
        curve = LearningCurve(
            held_out, config.held_out.every, out / folder.HELD_OUT, partial(_save, model, config, out)
        )
        progress = Progress(curve, config.total_steps)
        model.learn(
            config.total_steps - steps,
            callback=[curve, TrainingDelays(), progress, interruption],
            log_interval=1 if config.algorithm != "a2c" else 50,
            reset_num_timesteps=steps == 0,
        )
        curve.measure()
        progress.close()
    except KeyboardInterrupt:
        if progress is not None:
            progress.close()
        _save(model, config, out, is_best=False)
        print(
            f"\nStopped and saved at step {model.num_timesteps} of {config.total_steps}. "
            f"Go on with: python -m train --resume {out}",
            file=sys.stderr,
        )
        return INTERRUPTED
    finally:
        interruption.restore()
    _report(curve, lines, out)
    return 0


def _play(baselines: dict[str, Policy], held_out: HeldOut, curves: Path, total_steps: int) -> dict[str, Delays]:
    """Play the baselines and draw each as a horizontal line."""
    lines = {}
    for name, policy in baselines.items():
        with tqdm(desc=f"baseline {name}", unit=" steps", leave=False) as bar:
            lines[name] = held_out.play(policy, partial(bar.update, 1))
        draw_line(curves / name, lines[name], total_steps)
    return lines


def _save(model: BaseAlgorithm, config: TrainConfig, out: Path, is_best: bool) -> None:
    for name in (MODEL, BEST_MODEL) if is_best else (MODEL,):
        save(model, out / name, config.family, config.decisions, config.algorithm)


def _report(curve: LearningCurve, lines: dict[str, Delays], out: Path) -> None:
    """Print the delays of the best model and of the baselines, and what to do next."""
    best = min(curve.points, key=lambda point: point[1])
    rows = [(f"{curve.model.__class__.__name__.lower()} (best model)", best[1], best[2])]
    rows += [(name, delays.mean_s, delays.share_of_device_only) for name, delays in lines.items()]
    print("Mean query delay on held-out scenarios:")
    for name, delay_s, share in rows:
        print(f"  {name:<24} {delay_s:8.3f} s  {100 * share:6.1f} % of device-only")
    print(f"Saved in {out}. Curves: tensorboard --logdir {out / folder.CURVES}")
