"""One training run: checks, folder, baselines, learning, saved models."""

from __future__ import annotations

import shlex
import sys
import threading
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from stable_baselines3.common import logger
from tqdm import tqdm

from agents.learning.algorithms import TRAINING_REWARD, algorithm, check_settings, make_model, policy_class
from agents.learning.checkpoint import restore, save
from agents.learning.first_weights import take_weights
from agents.learning.imitation import imitate
from agents.learning.masked_policy import NotFiniteError
from agents.learning.next_cells import learn_next_cells
from agents.learning.sb3_vec_env import Sb3VecEnv
from agents.policies.policy import Policy, check_policy_name, resolve_policy
from agents.policies.trained import BEST_MODEL, MODEL, read_card
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import Generator, make_generator
from dnnmig_env.files.atomic_file import remedy
from dnnmig_env.files.folder_lock import locked
from dnnmig_env.files.named_values import named_values
from dnnmig_env.files.signals import status
from train import folder
from train.baselines import Line, play_baselines, read_lines, reference_delays_s
from train.callbacks import LearningCurve, OnlyFinite, Progress, TrainingDelays, read_points
from train.charts import add_hyperparameters, close_curves, without_writers
from train.commands import commands_before
from train.config import TrainConfig
from train.held_out import HeldOut
from train.interrupt import StopBetweenSteps
from train.resume import check_same_run

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

WARM_START, WARM_START_ROWS = 2**32, 16
"""The first stands for the number of steps in the seed of a warm start's scenarios; the second is the number of its
episodes that are played side by side."""
NEXT_CELLS = 2**32 + 1
"""Stands for the number of steps in the seed of the scenarios from which is learned where users go."""


def train(config: TrainConfig) -> int:
    """Train as configured, or go on with a run; return the exit status.

    It is 0, or 128 and the number of the signal that stopped it, such as 130 after Ctrl-C.

    Args:
        config: The configuration, from `train.command_line.parse`.

    Raises:
        ValueError: If the configuration cannot work, or somebody else trains in the folder; nothing has been written
            then. Or if the training fails or cannot be written; the model saved last is kept then.
    """
    torch.set_num_threads(config.threads)
    out = Path(config.out or "runs")
    settings = _settings(config)
    generator = make_generator(config.family, **named_values("--generator", config.generator))
    # A run that goes on needs its teacher no more.
    teachers = [] if config.warm_start is None or config.resume is not None else [config.warm_start]
    for name in (*config.held_out.baselines, *teachers):
        check_policy_name(name, generator)
    before = () if config.resume is not None else commands_before(config, generator.family)
    device = _device(config.device)
    with locked(out):
        if config.resume is None:
            folder.check_free(out)
            model = new_model(config, generator, device, settings)
        else:
            folder.check_family(out, config)
            model = _saved_model(config, generator, device, settings)
        held_out = HeldOut(generator, config.decisions, config.held_out.scenarios)
        baselines = {
            name: resolve_policy(name, held_out.env, 0, generator.family, timed=False)
            for name in config.held_out.baselines
        }
        try:
            if config.resume is None:
                if config.warm_start is not None:
                    _warm_start(model, config, generator, config.warm_start)
                _save(model, config, out, is_best=False)
                folder.begin(out, config, device, before)
            else:
                folder.write_config(out, config)
        except OSError as error:
            raise ValueError(
                f"cannot write to {out}: {error.strerror}; {remedy(error)}, or name another --out."
            ) from None
        return _learn(model, config, held_out, baselines, out)


def environment_seed(seed: int, steps: int) -> int:
    """Return the seed of the training environments, below 2**32; it is another one whenever a run is resumed."""
    return int(np.random.SeedSequence([seed, steps]).generate_state(1)[0])


def new_model(config: TrainConfig, generator: Generator, device: str, settings: dict[str, Any]) -> BaseAlgorithm:
    """Return the model with which a run begins: it has imitated nobody yet, but may know where users go."""
    env = _environments(config, generator)
    model = _made(config, env, device, settings)
    if config.begin_with is not None:
        take_weights(model, config.begin_with, env.env, generator.family)
    if generator.limits.lanes and config.next_cell_steps > 0:
        _learn_next_cells(model, config, generator)
    env.seed(environment_seed(config.seed, 0))
    return model


def _learn_next_cells(model: BaseAlgorithm, config: TrainConfig, generator: Generator) -> None:
    """Let the model's policy network learn where users go."""
    seed = environment_seed(config.seed, NEXT_CELLS)
    with tqdm(desc="learning where users go", total=config.next_cell_steps, unit=" steps", leave=False) as bar:
        known = learn_next_cells(model, generator, seed, config.next_cell_steps, partial(bar.update, 1))
    if known is not None:
        print(f"Next cells: names {100 * known:.1f} % of those to which users go.", file=sys.stderr)


def _warm_start(model: BaseAlgorithm, config: TrainConfig, generator: Generator, teacher: str) -> None:
    """Let the model's policy network imitate a teacher."""
    env = _batch(config, generator, min(WARM_START_ROWS, config.warm_start_episodes), "Disabled")
    seed = environment_seed(config.seed, WARM_START)
    with tqdm(desc=f"imitating {teacher}", total=config.warm_start_episodes, unit=" episodes", leave=False) as bar:
        alike = imitate(model, teacher, env, config.warm_start_episodes, seed, partial(bar.update, 1))
    print(f"Warm start: decides as {teacher} in {100 * alike:.1f} % of its decisions.", file=sys.stderr)


def _saved_model(config: TrainConfig, generator: Generator, device: str, settings: dict[str, Any]) -> BaseAlgorithm:
    file = Path(config.out or "") / MODEL
    env = _environments(config, generator)
    steps, saved = check_same_run(file, config, env.env, settings)
    model = _made(config, env, device, saved)
    restore(model, file)
    model.num_timesteps = steps
    model.set_random_seed(environment_seed(config.seed, steps))
    return model


def _made(config: TrainConfig, env: Sb3VecEnv, device: str, settings: dict[str, Any]) -> BaseAlgorithm:
    network, is_warm_started = asdict(config.network), config.warm_start is not None or config.begin_with is not None
    return make_model(
        config.algorithm, env, config.seed, device, settings, network, is_warm_started, config.policy_class
    )


def _environments(config: TrainConfig, generator: Generator) -> Sb3VecEnv:
    count = config.num_envs or algorithm(config.algorithm).num_envs
    return Sb3VecEnv(_batch(config, generator, count, "SameStep"))


def _batch(config: TrainConfig, generator: Generator, rows: int, autoreset_mode: str) -> MigrationVectorEnv:
    options: Any = TRAINING_REWARD
    return MigrationVectorEnv(rows, generator, config.decisions, autoreset_mode=autoreset_mode, **options)


def _settings(config: TrainConfig) -> dict[str, Any]:
    settings = named_values("--settings", config.settings)
    if (step := config.learning_rate) is not None:
        if "learning_rate" in settings:
            raise ValueError(f"--settings learning_rate and --learning-rate {step:g} are both given; keep the latter.")
        settings["learning_rate"] = step
    algorithm(config.algorithm), policy_class(config.algorithm, config.policy_class)
    try:
        return check_settings(config.algorithm, settings, config.policy_class)
    except ValueError as error:
        raise ValueError(f"--settings: {error}") from None


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).item()
    except Exception:  # every kind of device fails in its own way
        raise ValueError(f"--device {name!r} cannot be used here; choose auto or cpu.") from None
    return name


def _learn(
    model: BaseAlgorithm, config: TrainConfig, held_out: HeldOut, baselines: dict[str, Policy], out: Path
) -> int:
    steps, go_on = model.num_timesteps, f"python -m train --resume {shlex.quote(str(out))}"
    progress: Progress | None = None
    interruption = StopBetweenSteps()
    threading.excepthook, before = without_writers(threading.excepthook), threading.excepthook
    try:
        read_lines(out / folder.BASELINES), read_points(out / folder.HELD_OUT)  # if damaged, say so before playing
        curves = out / folder.CURVES
        end = _end(model, config.total_steps)
        lines = play_baselines(baselines, held_out, out / folder.BASELINES, curves, end)
        model.set_logger(logger.configure(str(curves / config.algorithm), ["tensorboard"]))
        add_hyperparameters(model, config)
        best_step = read_card(out / BEST_MODEL).steps if (out / BEST_MODEL).is_file() else None
        saving = partial(_save, model, config, out)
        reference_s = reference_delays_s(lines)
        curve = LearningCurve(
            held_out, config.held_out.every, out / folder.HELD_OUT, best_step, reference_s, saving, interruption.check
        )
        progress = Progress(curve, end)
        with np.errstate(over="ignore", invalid="ignore"):  # `OnlyFinite` says more of these
            model.learn(
                config.total_steps - steps,
                callback=[interruption, OnlyFinite(), curve, TrainingDelays(), progress],
                log_interval=1 if config.algorithm != "a2c" else 50,
                reset_num_timesteps=steps == 0,
            )
        curve.measure()
    except KeyboardInterrupt as stopped:
        try:
            forgotten = _forget(model, interruption.learned_steps)
            _save(model, config, out, is_best=False)
            saved = f"Stopped and saved at step {model.num_timesteps} of {config.total_steps}{forgotten}"
        except KeyboardInterrupt:
            saved = f"Stopped at once; the model saved last is of step {read_card(out / MODEL).steps}"
        if progress is not None:
            progress.close()
        print(f"\n{saved}. Go on with: {go_on}", file=sys.stderr)
        return status(stopped)
    except NotFiniteError as error:
        raise ValueError(
            f"training has failed at step {model.num_timesteps}: {error}. The model saved last, of step "
            f"{read_card(out / MODEL).steps}, is kept in {out}; train anew with a smaller --learning-rate."
        ) from None
    except (OSError, ValueError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError):
            raise
        raise ValueError(
            f"cannot write to {out} at step {model.num_timesteps}: {cause.strerror or cause}. The model saved last, "
            f"of step {read_card(out / MODEL).steps}, is kept. Once that is put right, go on with: {go_on}"
        ) from None
    finally:
        if progress is not None:
            progress.close()
        interruption.restore()
        close_curves(model)
        threading.excepthook = before
    _report(config.algorithm, curve, lines, out)
    return 0


def _end(model: Any, total_steps: int) -> int:
    """Return the step at which training ends; say so if that is later than asked for, or too early to learn."""
    each = model.n_envs
    if hasattr(model, "rollout_buffer"):
        each *= model.n_steps
    elif hasattr(model, "train_freq"):
        each *= model.train_freq if isinstance(model.train_freq, int) else model.train_freq.frequency
    starts = getattr(model, "learning_starts", 0)
    if starts >= total_steps > 0:
        print(f"Nothing will be learned, as learning begins after step {starts} (learning_starts).", file=sys.stderr)
    end: int = model.num_timesteps - (model.num_timesteps - total_steps) // each * each
    if hasattr(model, "group_size") and end > 0:
        print(f"Training ends with the round of {each} episodes that reaches step {end}.", file=sys.stderr)
    elif end > total_steps:
        print(f"Training ends at step {end}, as {each} decisions are learned from at a time.", file=sys.stderr)
    return end


def _forget(model: Any, learned_steps: int | None) -> str:
    """Set the count of decisions back to those that were learned from or are remembered; return what to say of it."""
    others = 0 if learned_steps is None or hasattr(model, "replay_buffer") else model.num_timesteps - learned_steps
    model.num_timesteps -= others
    return f" (forgetting {others} later decisions, too few to learn from)" if others else ""


def _save(model: BaseAlgorithm, config: TrainConfig, out: Path, is_best: bool) -> None:
    env: Any = model.get_env()
    family = env.env.episodes.generator.family
    save(model, out / MODEL, family, config.decisions, config.algorithm)
    if is_best:
        save(model, out / BEST_MODEL, family, config.decisions, config.algorithm, for_training=False)


def _report(algorithm: str, curve: LearningCurve, lines: dict[str, Line], out: Path) -> None:
    """Print the delays of the best model and of the baselines, and what to do next."""
    best = curve.best or curve.points[-1]
    rows = [(f"{algorithm} (step {best[0]})", best[1], best[2])]
    rows += [(name, line.mean_delay_s, line.share_of_device_only) for name, line in lines.items()]
    print("Mean query delay on held-out scenarios, of the best model and the baselines:")
    for name, delay_s, share in rows:
        print(f"  {name:<26} {delay_s:8.3f} s  {100 * share:6.1f} % of device-only (mean of the ratios)")
    if best[0] == 0 < curve.points[-1][0]:
        print("No later model was better than the one before the first step, which may have imitated a teacher.")
    print(f"Saved in {out}. Curves: tensorboard --logdir {out / folder.CURVES}")
