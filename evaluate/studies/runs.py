"""Training runs of a study: made one after another, without output, and used again if they exist."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from agents.learning.checkpoint import save
from agents.policies.trained import MODEL, read_card
from dnnmig_env.families.registry import make_generator
from dnnmig_env.files.signals import Stopped
from evaluate.studies.config import StudyConfig
from evaluate.studies.pace import decisions_in, untrained
from evaluate.studies.variants import Agent
from train.command_line import check
from train.config import HeldOutConfig, TrainConfig
from train.folder import begin, read_config
from train.run import train

HELD_OUT = HeldOutConfig(scenarios=16, every=1_000_000_000, baselines=())
"""Held-out scenarios are played only before the first step and after the last one."""


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Attributes:
        model: File of the model after its last step. This is not the best model on held-out scenarios: what is compared
            is what a number of decisions leads to, not how often somebody has looked.
        steps: Number of decisions on which it was trained.
    """

    model: Path
    steps: int


def finished_run(
    name: str, agent: Agent, seed: int, family: str, steps: int, folder: Path, say: Callable[[str], None]
) -> Run:
    """Return the run of an agent and seed: the one in `folder`/NAME-SEED if it exists, else one that is trained now.

    A run appears in the folder when it is finished. A run that was stopped is begun anew, so that its result does not
    depend on when that was.

    Args:
        name: Name of the agent.
        agent: What is particular about its training.
        seed: Seed of the training.
        family: Family of the scenarios.
        steps: Number of decisions to train on.
        folder: Folder of all runs.
        say: Receives a line of text about the run.

    Raises:
        ValueError: If the run exists and was trained otherwise, or the configuration cannot work.
        KeyboardInterrupt: If a signal stopped the training.
    """
    config, where = _config(agent, seed, family, steps), folder / f"{name}-{seed}"
    check_run(name, agent, seed, family, steps, folder)
    if where.exists():
        say(f"{where.name}: is there already")
        return _run(where)
    partial = folder / f".{where.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    began_s = time.perf_counter()
    _make(replace(config, out=partial), is_trained=agent.is_trained)
    os.replace(partial, where)
    run = _run(where)
    say(f"{where.name}: {run.steps} decisions in {time.perf_counter() - began_s:.0f} s")
    return run


def steps_of(name: str, agent: Agent, config: StudyConfig, say: Callable[[str], None]) -> int:
    """Return on how many decisions an agent of a study is trained.

    If the study gives every agent the same seconds, runs of the agent that exist say it, so that a study that was
    stopped goes on with the same number; else it is measured.

    Args:
        name: Name of the agent.
        agent: What is particular about its training.
        config: The study.
        say: Receives a line of text about what is measured.

    Raises:
        ValueError: If a run that exists is none, or the configuration cannot work.
    """
    if config.seconds is None or not agent.is_trained:
        return config.steps
    for seed in range(config.seeds):
        there = config.runs / f"{name}-{seed}"
        if there.exists():
            return read_config(there).total_steps
    steps = decisions_in(config.seconds, _config(agent, 0, config.family, 1))
    say(f"{name}: learns from {steps} decisions in {config.seconds:g} s")
    return steps


def check_run(name: str, agent: Agent, seed: int, family: str, steps: int, folder: Path) -> None:
    """Check that a run that exists is the one that `finished_run` would train; its arguments are described there.

    Raises:
        ValueError: If it was trained otherwise, or is no run.
    """
    where, config = folder / f"{name}-{seed}", _config(agent, seed, family, steps)
    if not where.exists():
        return
    there = read_config(where)
    for one in fields(TrainConfig):
        was, wanted = getattr(there, one.name), getattr(config, one.name)
        if was != wanted:
            raise ValueError(
                f"{where} was trained with --{one.name.replace('_', '-')} {was}, not {wanted}; "
                "name another --out, or remove that folder."
            )


def _config(agent: Agent, seed: int, family: str, steps: int) -> TrainConfig:
    changes: dict[str, Any] = {"family": family, "seed": seed, "total_steps": steps, **agent.changes}
    return replace(check(TrainConfig(device="cpu", held_out=HELD_OUT, **changes)), out=None)


def _make(config: TrainConfig, *, is_trained: bool) -> None:
    if not is_trained:
        _save_untrained(config)
        return
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        status = train(config)
    if status > 128:  # Ctrl-C, or another signal
        raise Stopped(status - 128)
    if status != 0:
        last = (said.getvalue().strip() or f"status {status}").splitlines()[-1]
        raise ValueError(f"the training in {config.out} failed ({last}); train it alone with python -m train.")


def _save_untrained(config: TrainConfig) -> None:
    """Write the folder of a run whose model has not taken its first step."""
    out, model = config.out or Path(), untrained(config)
    begin(out, config, str(model.device), before=())
    save(model, out / MODEL, make_generator(config.family).family, config.decisions, config.algorithm)


def _run(folder: Path) -> Run:
    return Run(folder / MODEL, read_card(folder / MODEL).steps)
