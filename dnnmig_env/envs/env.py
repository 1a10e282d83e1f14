"""The Gymnasium environment of a single episode, with the specification of actions, observations and rewards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import gymnasium
import numpy as np

from dnnmig_env.arrays import Bools
from dnnmig_env.envs.batch import DecisionMode, EpisodeBatch
from dnnmig_env.envs.observer import MakeObserver, MakeRewarder, ObservationKind
from dnnmig_env.envs.reward import RewardKind, RewardScale
from dnnmig_env.envs.row_view import RowView
from dnnmig_env.envs.vector_env import Observations, check_options, spaces_of
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits

if TYPE_CHECKING:
    from dnnmig_env.families.registry import Generator


class MigrationEnv(RowView, gymnasium.Env[Observations, np.int64]):
    """Decide where each layer of each user's DNN runs and in which order the weights are uploaded.

    ## Description
    Users hold whole DNNs on their devices and keep raising inference queries. Servers (edge, cloud) are faster but hold
    no weights at first: weights are uploaded over one shared uplink, one layer at a time. While uploads go on, queries
    use the layers that have arrived. One episode is one scenario from time 0 to its horizon; time passes while a layer
    is being uploaded. The rules are those of `docs/model.md`.

    ## Action Space
    `Discrete(U * L * S + 1)` for at most U users, L layers and S servers. Action `(u * L + l) * S + s - 1` uploads
    layer l of user u to server s (1..S) next. The last action is "stop": nothing more is uploaded until the next time
    slot begins, or, in the last slot, until the horizon. With `decisions="two-phase"`, the layers of every present user
    are placed first, by one decision each, in topological order: an action that uploads to a server places the pending
    layer there, "stop" leaves it on the device. Then the placed layers are uploaded one by one.

    ## Observation Space
    `Dict(observation=Box(-1, 1, (D,)), action_mask=MultiBinary(U * L * S + 1))`. The vector is laid out as
    `dnnmig_env.envs.facts.FactsLayout` says: time (4), servers (S x 6), users (U x 9), links (U x S x 5),
    layers (U x L x 7); absent users and padding are zero. It tells of the present and the past only. `action_mask` is 1
    for legal actions; "stop" is always legal. With `observation="candidates"` (joint decisions only) the vector is a
    short list of promising uploads with what may be expected of each (`agents.candidates.layout.CandidateLayout`).

    ## Rewards
    The reward is minus the query-weighted delay accrued until the next decision, in seconds per query, so that the
    return is -J, the negative mean query delay over the horizon. Placing a layer takes no time and earns 0.
    `scale="device-only"` divides rewards by the scenario's device-only J. `reward="shaped"` adds a potential
    difference: the return becomes the delay saved against never uploading anything. `reward="reference"` pays what a
    decision saves if the rest of a reference plan follows it (`agents.candidates.reference_plan`): the return becomes
    the delay saved against that plan.

    ## Starting State
    A scenario that the generator draws, or the given one, at time 0.

    ## Episode End
    1. Termination: the horizon is reached, or nothing is left to decide and the rest of the horizon has been charged.
    2. Termination: an illegal action. The rest of the horizon is charged at the device-only delay.

    There is no truncation.

    ## Information
    `action_mask` (int8) always; at the end of an episode also `mean_delay_s` (J), `device_only_delay_s` (J of uploading
    nothing) and `illegal_action` (whether one ended the episode).

    ## Arguments
    ```python
    >>> import gymnasium, dnnmig_env
    >>> env = gymnasium.make("dnnmig/MultiUser-v0", num_users=4, decisions="two-phase")
    >>> observation, info = env.reset(seed=1)

    ```
    The arguments are `generator` (or the generator's own options, for registered ids), `scenario` (played in every
    episode), `decisions`, `reward`, `scale`, `observation` and `render_mode` ("rgb_array": uploads and delays so far as
    a picture, "ansi": as text). `limits` are the sizes to which scenarios are padded, by default the generator's; with
    them the generator may be left out, if every scenario is given.
    `reset(options={"scenario": scenario})` plays a given scenario once.

    ## Vectorized environment
    `gymnasium.make_vec(id, num_envs=N)` steps N rows in one compiled call (`MigrationVectorEnv`).

    ## Version History
    - v0: first version.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  declared so by Gymnasium
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 4,
    }

    def __init__(
        self,
        generator: Generator | None = None,
        scenario: Scenario | None = None,
        decisions: DecisionMode = "joint",
        reward: RewardKind | MakeRewarder = "delay",
        scale: RewardScale = "seconds",
        observation: ObservationKind | MakeObserver = "plain",
        render_mode: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(
                f"render_mode is {render_mode!r}; choose one of {', '.join(self.metadata['render_modes'])}."
            )
        self.episodes = EpisodeBatch(1, generator, decisions, reward, scale, observation, limits)
        observation_space, self.action_space = spaces_of(self.episodes)
        self.observation_space = cast(Any, observation_space)
        self.render_mode = render_mode
        self._scenario = scenario

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: Seed of the stream of scenarios; None goes on with the present stream.
            options: `{"scenario": Scenario}` plays a given scenario in this episode.

        Raises:
            ValueError: If an option is unknown or the scenario exceeds the environment's limits.
        """
        super().reset(seed=seed)
        options = options or {}
        check_options(options, "scenario")
        scenario = options.get("scenario", self._scenario)
        if seed is not None:
            self.episodes.seed(0, seed)
        self.episodes.start([0], None if scenario is None else [scenario])
        observation = self._observation()
        return observation, {"action_mask": observation["action_mask"].copy()}

    def step(self, action: np.int64) -> tuple[Observations, float, bool, bool, dict[str, Any]]:
        """Take one decision and let time pass until the next one is due."""
        episodes = self.episodes
        episodes.step(np.array([action], np.int64), ~episodes.decisions.done)
        terminated = bool(episodes.decisions.done[0])
        observation = self._observation()
        info: dict[str, Any] = {"action_mask": observation["action_mask"].copy()}
        if terminated:
            info["mean_delay_s"] = episodes.mean_delay_s(0)
            info["device_only_delay_s"] = float(episodes.outputs.device_only_s[0])
            info["illegal_action"] = bool(episodes.decisions.illegal[0])
        return observation, float(episodes.outputs.reward[0]), terminated, False, info

    def render(self) -> Any:
        """Return the uploads decided so far and the delays they lead to, as a picture or as text."""
        from dnnmig_env.simulation.simulator import simulate
        from dnnmig_env.simulation.viewer import describe, draw, to_rgb

        if self.render_mode is None:
            return None
        timeline = simulate(self.scenario(), self.plan())
        return describe(timeline) if self.render_mode == "ansi" else to_rgb(draw(timeline))

    def action_masks(self) -> Bools:
        """Return the legal actions, shape (A,), as MaskablePPO asks for them."""
        return np.asarray(self.episodes.outputs.mask[0], np.bool_)

    def _observation(self) -> Observations:
        episodes = self.episodes
        return {"observation": episodes.observation[0].copy(), "action_mask": episodes.outputs.mask[0].copy()}
