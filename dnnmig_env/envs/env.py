"""The Gymnasium environment of a single episode, with the specification of actions, observations and rewards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import gymnasium
import numpy as np
from gymnasium.logger import warn

from dnnmig_env.arrays import Bools, Ints
from dnnmig_env.envs.arguments import METADATA, check_render_mode, check_scenario, checked_options, one_action, one_seed
from dnnmig_env.envs.batch import DecisionMode, EpisodeBatch, IllegalMode
from dnnmig_env.envs.observer import MakeObserver, MakeRewarder, ObservationKind
from dnnmig_env.envs.reward import RewardKind, RewardScale
from dnnmig_env.envs.row_view import RowView
from dnnmig_env.envs.vector_env import Observations, spaces_of
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits

if TYPE_CHECKING:
    from dnnmig_env.families.registry import Generator


class MigrationEnv(RowView, gymnasium.Env[Observations, int | np.integer[Any] | Ints]):
    """Decide where each layer of each user's DNN runs and in which order the weights are uploaded.

    ## Description
    Users hold whole DNNs on their devices and keep raising inference queries. Servers (edge, cloud) are faster but hold
    no weights at first: weights are uploaded over one shared uplink, one layer at a time. While uploads go on, queries
    use the layers that have arrived. One episode is one scenario from time 0 to its horizon; time passes while a layer
    is being uploaded. In `mobile` and `city` every edge has a radio cell of its own, and servers send weights on by
    wire, so that several layers may be on their way at once. The rules are those of `docs/model.md`.

    ## Action Space
    `Discrete(U * L * S + 1)` for at most U users, L layers and S servers. Action `(u * L + l) * S + s - 1` uploads
    layer l of user u to server s (1..S) next. The last action is "stop": nothing more is uploaded until the next time
    slot begins, or, in the last slot, until the horizon. Where several layers may be on their way at once, a decision
    is due whenever something may start, several at the same time if need be; "stop" waits for the next event, the end
    of a transfer or the start of a slot. Where a layer comes from follows from the rules. With
    `decisions="two-phase"`, the layers of every present user are placed first, by one decision each, in topological
    order: an action that uploads to a server places the pending layer there, "stop" leaves it on the device. Then the
    placed layers are uploaded one by one.

    ## Observation Space
    `Dict(observation=Box(-1, 1, (D,)), action_mask=MultiBinary(U * L * S + 1))`. The vector is laid out as
    `dnnmig_env.envs.facts.layout.FactsLayout` says: time, servers, users, links, layers, lines between servers, seconds
    of layers on servers, edges of the networks, and in `mobile` and `city` cells, copies, transfers, absences and room;
    absent users and padding are zero. It tells of the present and the past only. `action_mask` is 1
    for legal actions; "stop" is always legal.

    ## Rewards
    The reward is minus the query-weighted delay accrued until the next decision, in seconds per query, so that the
    return is -J, the negative mean query delay over the horizon. Placing a layer takes no time and earns 0.
    `scale="device-only"` divides rewards by the scenario's device-only J. `reward="shaped"` adds a potential
    difference: the return becomes the delay saved against never uploading anything.

    ## Starting State
    A scenario that the generator draws, or the given one, at time 0.

    ## Episode End
    1. Termination: the horizon is reached, or nothing is left to decide and the rest of the horizon has been charged.
    2. Termination: an illegal action. The rest of the horizon is charged at the device-only delay. With
       `illegal="repair"` the nearest legal action is taken instead (`dnnmig_env.envs.repair.nearest_legal`).

    There is no truncation. A step after the end changes nothing, earns 0 and warns.

    ## Information
    Always the same: `action_mask` (int8); `mean_delay_s`, the part of J that has accrued so far, which is J at the end;
    `device_only_delay_s`, J of uploading nothing; `illegal_action`, whether the latest action was illegal;
    `action_taken`, the latest action, repaired if need be, or -1 if there is none yet.

    ## Randomness
    Scenarios are drawn from `np_random`, several at a time. `reset(seed=np_random_seed)` repeats a run, seeded or not;
    a generator that is assigned to `np_random` serves from the next reset on.

    ## Arguments
    ```python
    >>> import gymnasium, dnnmig_env
    >>> env = gymnasium.make("dnnmig/MultiUser-v0", num_users=4, decisions="two-phase")
    >>> observation, info = env.reset(seed=1)

    ```
    The arguments are `generator` (or the generator's own options, for registered ids), `scenario` (played in every
    episode), `decisions`, `reward`, `scale`, `observation`, `illegal` ("end" or "repair") and `render_mode`
    ("rgb_array": uploads and delays so far as a picture, "ansi": as text; `gymnasium.make` also has "human",
    "rgb_array_list" and "ansi_list"). `limits` are the sizes to which scenarios are padded, by default the generator's;
    with them the generator may be left out, if every scenario is given. A `scenario` that is larger makes them grow.
    `reset(options={"scenario": scenario})` plays a given scenario once.

    ## Vectorized environment
    `gymnasium.make_vec(id, num_envs=N)` steps N rows in one compiled call (`MigrationVectorEnv`).

    ## Version History
    - v0: first version.
    """

    metadata: dict[str, Any] = METADATA

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
        illegal: IllegalMode = "end",
    ) -> None:
        check_render_mode(render_mode)
        self.episodes = EpisodeBatch(1, generator, decisions, reward, scale, observation, limits, scenario, illegal)
        observation_space, self.action_space = spaces_of(self.episodes)
        self.observation_space = cast(Any, observation_space)
        self.render_mode = render_mode
        self._active = np.ones(1, np.bool_)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: Seed of the stream of scenarios; None goes on with the present stream.
            options: `{"scenario": Scenario}` plays a given scenario in this episode.

        Raises:
            TypeError: If the seed is no integer or the scenario no scenario.
            ValueError: If the seed is negative, an option is unknown or the scenario exceeds the environment's limits.
        """
        seed = one_seed(seed)
        scenario = checked_options(options, "scenario").get("scenario")
        if scenario is not None:
            check_scenario("options['scenario']", scenario)
        super().reset(seed=seed)
        random = self.np_random
        self.episodes.draw_from(0, random, self.np_random_seed)
        self.episodes.start([0], None if scenario is None else [scenario])
        return self._observation(), self._info()

    def step(self, action: int | np.integer[Any] | Ints) -> tuple[Observations, float, bool, bool, dict[str, Any]]:
        """Take one decision and let time pass until the next one is due.

        Args:
            action: An integer, or an array of integers with one element.

        Raises:
            ResetNeeded: If no episode has begun.
            TypeError: If the action is no integer.
            ValueError: If it is none of the actions.
        """
        episodes = self.episodes
        episodes.check_begun()
        number = one_action(action, episodes.actions.size)
        if episodes.decisions.done[0]:
            warn("step() after the end of the episode does nothing and earns 0; call reset() to begin a new one.")
            return self._observation(), 0.0, True, False, self._info()
        episodes.step(np.array([number]), self._active)
        terminated = bool(episodes.decisions.done[0])
        return self._observation(), float(episodes.outputs.reward[0]), terminated, False, self._info()

    def render(self) -> Any:
        """Return the uploads decided so far and the delays they lead to, as a picture or as text.

        Raises:
            ResetNeeded: If no episode has begun.
        """
        self.episodes.check_begun()
        return None if self.render_mode is None else self.frame(self.render_mode)

    def action_masks(self) -> Bools:
        """Return the legal actions, shape (A,), as MaskablePPO asks for them."""
        self.episodes.check_begun()
        return np.asarray(self.episodes.outputs.mask[0], np.bool_)

    def _observation(self) -> Observations:
        episodes = self.episodes
        return {"observation": episodes.observation[0].copy(), "action_mask": episodes.outputs.mask[0].copy()}

    def _info(self) -> dict[str, Any]:
        episodes = self.episodes
        return {
            "action_mask": episodes.outputs.mask[0].copy(),
            "mean_delay_s": episodes.mean_delay_s(0),
            "device_only_delay_s": float(episodes.outputs.device_only_s[0]),
            "illegal_action": bool(episodes.illegal[0]),
            "action_taken": int(episodes.taken[0]),
        }
