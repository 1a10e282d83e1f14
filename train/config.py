"""What a training run can be asked for; the command line is derived from these dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

PRESETS = ("quick",)


@dataclass(frozen=True)
class NetworkConfig:
    """Size of the network, and what it sees; the number of weights does not depend on the scenarios."""

    width: int = 24
    """Numbers in the embedding of a layer."""
    context: int = 48
    """Numbers in the embedding of a pair of user and server, and in the summary of everything."""
    blind: tuple[str, ...] = ()
    """Features of candidates that it does not see (agents/candidates/features.py lists them), e.g. gain rank."""


@dataclass(frozen=True)
class HeldOutConfig:
    """The learning curve: mean query delay on scenarios that are never trained on, always the same ones."""

    scenarios: int = 48
    """How many."""
    every: int = 50_000
    """Decisions between two points of the curve; then the model is saved, too."""
    baselines: tuple[str, ...] = ("device-only", "pso-ga+lmu", "joint-efficiency")
    """Planners drawn beside the curve."""


@dataclass(frozen=True)
class TrainConfig:
    """Train an agent to decide where each layer runs and in which order layers are uploaded.

    The run's folder holds models, configuration, versions and TensorBoard curves. Ctrl-C saves, --resume goes on.
    """

    family: str = "multi-user"
    """Family of scenarios: single, edge-cloud, multi-user, mobile or toy."""
    algorithm: str = "ppo"
    """Learning algorithm: ppo, a2c, dqn, maskable-ppo, or hindsight (what would each candidate have been worth?)."""
    observation: Literal["candidates", "plain"] | None = None
    """What the agent sees: a list of promising uploads with their prospects, or every fact about every layer. By
    default candidates; plain with two-phase decisions."""
    warm_start: str | None = None
    """Imitate this policy first: joint-efficiency, local-search, exact, any other planner (with @replan, @forecast or
    @clairvoyant), or a trained model. ppo and maskable-ppo then take smaller steps."""
    warm_start_episodes: int = 1024
    """Episodes of it to imitate."""
    decisions: Literal["joint", "two-phase"] = "joint"
    """Upload layer after layer (joint), or first place all layers and then order their uploads (two-phase)."""
    total_steps: int = 3_000_000
    """Decisions to train on."""
    num_envs: int | None = None
    """Episodes played side by side. By default the algorithm's own number."""
    seed: int = 0
    """Seed of weights, exploration and training scenarios."""
    device: str = "auto"
    """auto (a GPU where there is one), cpu, cuda, cuda:1, ..."""
    threads: int = 1
    """Threads of torch. More can be faster on an idle machine, but results then differ in the last digits."""
    out: Path | None = None
    """Folder of the run, new or empty. By default runs/FAMILY-ALGORITHM-DECISIONS-SEED."""
    learning_rate: float | None = None
    """Step size of the optimiser. By default the algorithm's own."""
    settings: tuple[str, ...] = ()
    """Other arguments of the algorithm's class in Stable-Baselines3, as NAME=VALUE, e.g. batch_size=4096 gamma=0.99."""
    generator: tuple[str, ...] = ()
    """Options of the family's generator, as NAME=VALUE, e.g. num_users=4 max_layers=12 "access_mbps=(5,20)"."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    held_out: HeldOutConfig = field(default_factory=HeldOutConfig)
    preset: Literal["quick"] | None = None
    """Defaults for a purpose. quick: a few minutes on two cores, enough to beat PSO-GA + LMU on average."""
    resume: Path | None = None
    """Folder of a run to go on with, in its own configuration; only --total-steps and --device may differ."""

    @property
    def observation_kind(self) -> Literal["candidates", "plain"]:
        """What the agent sees."""
        if self.observation is not None:
            return self.observation
        return "plain" if self.decisions == "two-phase" else "candidates"
