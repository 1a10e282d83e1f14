"""What can be asked of a training run; the command line and its help are derived from these dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

PRESETS = ("quick",)


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the policy network. Its number of weights does not depend on the scenarios."""

    width: int = 32
    """Length of the embedding of a layer."""
    context: int = 64
    """Length of the embedding of a pair of user and server, and of the summary of everything."""


@dataclass(frozen=True)
class HeldOutConfig:
    """The learning curve: mean query delay in scenarios that are never trained on and are always the same."""

    scenarios: int = 48
    """Number of these scenarios."""
    every: int = 50_000
    """Number of decisions between two points of the curve. The model is saved at each point."""
    baselines: tuple[str, ...] = ("pso-ga+lmu", "joint-efficiency")
    """Policies that are drawn beside the curve, for comparison; none if nothing follows the option. Those of your own
    are named package.module:attribute. With joint-efficiency among them, there is a chart of the ratio to it."""


@dataclass(frozen=True)
class TrainConfig:
    """Train an agent to decide where each layer runs and in which order layers are uploaded.

    The folder of the run receives models, configuration, versions and TensorBoard curves. Ctrl-C and SIGTERM save the
    model, and --resume goes on with it.
    """

    family: str = "multi-user"
    """Family of the scenarios: single, edge-cloud, multi-user, mobile, city or toy, or one of your own: a file such as
    my_family.yaml, or package.module:attribute."""
    algorithm: str = "grpo"
    """Learning algorithm: grpo, self-labelling, ppo, a2c, dqn or maskable-ppo, or a class of your own,
    package.module:Class, that is derived from one of Stable-Baselines3. Grpo plays every scenario several times and
    learns from how its rollouts differ; self-labelling imitates the best of them, which is for scenarios where nothing
    happens by chance: single, edge-cloud and multi-user."""
    policy_class: str | None = None
    """Class of your own, package.module:Class, for the policy that the algorithm trains. The default depends on the
    algorithm."""
    begin_with: str | None = None
    """Trained model with whose weights the agent begins: pretrained, a model file, or the folder of a run. It may have
    been trained on another family."""
    warm_start: str | None = None
    """Policy that the agent imitates before it learns by itself: joint-efficiency, local-search, exact, any other
    planner (also with @replan, @forecast or @clairvoyant), a trained model, or a policy of your own
    (package.module:attribute). Afterwards ppo and maskable-ppo take
    smaller steps."""
    warm_start_episodes: int = 1024
    """Number of episodes of that policy to imitate."""
    next_cell_steps: int = 4000
    """Where weights move between servers (mobile, city): number of gradient steps in which the network learns to which
    cells users go, before all else. 0 leaves out what it has to say of that, or as it was in the model of
    --begin-with."""
    decisions: Literal["joint", "two-phase"] = "joint"
    """With joint, each decision places a layer and uploads it next. With two-phase, all layers are placed first, and
    then their uploads are ordered."""
    total_steps: int = 3_000_000
    """Number of decisions to train on. With 0, the agent remains what it has imitated, or what it has begun with."""
    num_envs: int | None = None
    """Number of episodes that are played side by side. The default depends on the algorithm."""
    seed: int = 0
    """Seed of the weights, of exploration and of the training scenarios."""
    seeds: tuple[int, ...] = ()
    """Several seeds, such as 0 1 2: each is a run of its own, in the folder that it would have by itself, or in the
    folder --out followed by the seed, such as runs/mine-0."""
    workers: int = 1
    """Number of runs of --seeds that train at the same time, a process each."""
    device: str = "auto"
    """Where torch computes: auto (a GPU where there is one), cpu, cuda, cuda:1, ..."""
    threads: int = 1
    """Number of threads among which torch divides single operations. With 1, GRPO and imitation divide their batches
    among all cores instead (NUMBA_NUM_THREADS: at most so many), with the same results whatever their number. With
    more, results differ in the last digits."""
    out: Path | None = None
    """Folder of the run, which must be new or empty. The default is runs/FAMILY-ALGORITHM-DECISIONS-SEED, followed by
    what else is not as usual."""
    learning_rate: float | None = None
    """Step size of the optimiser. The default depends on the algorithm."""
    settings: tuple[str, ...] = ()
    """Other arguments of the algorithm's class, as NAME=VALUE, for example: batch_size=4096 gamma=0.99. Those of a
    policy class of your own are written policy.NAME=VALUE."""
    generator: tuple[str, ...] = ()
    """Options of the family's generator, as NAME=VALUE, for example: num_users=4 max_layers=12 "access_mbps=(5,20)"."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    held_out: HeldOutConfig = field(default_factory=HeldOutConfig)
    preset: Literal["quick"] | None = None
    """Defaults for a purpose. With quick, training takes 7 to 10 minutes on two cores, enough to be ahead of
    joint efficiency. It learns by self-labelling, unless another algorithm is named."""
    resume: Path | None = None
    """Folder of a run to go on with. The run keeps its configuration: only --total-steps and --device may differ."""
