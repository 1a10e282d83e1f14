"""Plays rounds of groups: some scenarios, each of them several times with decisions drawn by their probabilities.

All rollouts of a group have the same scenario and the same future, so that what they cost differs by what was decided
alone. Derived classes say how rollouts are judged, and what is learned from that.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import MaybeCallback, Schedule
from stable_baselines3.common.utils import FloatSchedule, update_learning_rate
from torch import Tensor, nn

from agents.learning.groups.moments import Moments, Round
from agents.learning.masked_policy import SEEN, MaskedActorCriticPolicy, MaskedCategorical
from agents.learning.muon_with_adam import MuonWithAdam
from agents.learning.pieces import in_pieces, learn_from
from agents.learning.sb3_vec_env import Sb3VecEnv
from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.envs.vector_env import MigrationVectorEnv, Observations

Told = TypeVar("Told")

LEAST_STEP = 0.1
"""The learning rate falls linearly, down to this share of its first value."""


class GroupRollouts(BaseAlgorithm):
    """Algorithm of Stable-Baselines3 (SB3) that learns from groups of rollouts; derived classes say how.

    Args:
        policy: `MaskedActorCriticPolicy`.
        env: Environments; a round plays as many episodes as there are rows.
        learning_rate: Step size at first, as the policy's optimiser takes it.
        group_size: Number of rollouts of every scenario, which divides the number of rows.
        batch_size: Decisions per gradient step.
        n_epochs: How often each decision is learned from.
        max_grad_norm: Largest norm of a gradient.
        most_gigabytes: Most memory for the decisions of a round where the network computes, in GB. If they take more, a
            random part of them is learned from.
        policy_kwargs: Arguments of the policy.
        tensorboard_log: As in SB3.
        verbose: As in SB3.
        seed: Seed of the weights, of the decisions drawn, and of the scenarios.
        device: As in SB3.
        _init_setup_model: As in SB3.

    Attributes:
        parts: Number of equal parts of an episode's time in which its costs are added up.
        rounds: Number of rounds that have been learned from.

    Raises:
        ValueError: If the rows cannot be divided into groups, or a group has less than two rollouts.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {}
    parts = 1

    def __init__(
        self,
        policy: type[MaskedActorCriticPolicy],
        env: Sb3VecEnv,
        learning_rate: float | Schedule = 3e-4,
        group_size: int = 16,
        batch_size: int = 1024,
        n_epochs: int = 1,
        max_grad_norm: float = 0.5,
        most_gigabytes: float = 2.0,
        policy_kwargs: dict[str, Any] | None = None,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        if group_size < 2:
            raise ValueError(f"group_size is {group_size}; a rollout is judged against others, so give 2 or more.")
        if env is not None and env.num_envs % group_size:  # SB3 loads models without environments
            raise ValueError(
                f"num_envs is {env.num_envs} and group_size {group_size}, but every scenario is played group_size "
                "times; give a multiple of it as num_envs."
            )
        super().__init__(
            policy,
            env,
            learning_rate,
            policy_kwargs=policy_kwargs,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            seed=seed,
            device=device,
            support_multi_env=True,
            stats_window_size=100 if env is None else env.num_envs,  # the charts are of whole rounds
        )
        self.group_size, self.batch_size, self.n_epochs = group_size, batch_size, n_epochs
        self.max_grad_norm, self.most_gigabytes, self.rounds = max_grad_norm, most_gigabytes, 0
        if _init_setup_model:
            self._setup_model()

    @abstractmethod
    def _judged(self, costs: Floats, horizons_s: Floats) -> Tensor:
        """Return how good each rollout of a round is, by what it cost.

        Args:
            costs: Cost of each user in each part of each episode's time, groups side by side, as shares of the
                device-only cost of all users, shape (B, parts, U).
            horizons_s: How long each episode lasts, shape (B,).

        Returns:
            What `_train` needs to know of each row, in each part of its time, about each user and at last about "stop",
            on the device of the network, shape (B, parts, U + 1).
        """

    @abstractmethod
    def _train(self, moments: Moments, of_row: Tensor) -> None:
        """Take the gradient steps of one round, given its decisions and what `_judged` has returned."""

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "groups",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Play rounds and learn from them until `total_timesteps` decisions have been taken."""
        env: Any = self.env
        with env.at_rest():
            total, callback = self._setup_learn(
                total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
            )
        arena = self._arena()
        callback.on_training_start(locals(), globals())
        while self.num_timesteps < total:
            callback.on_rollout_start()
            played = self._play(arena, callback)
            if played is None:
                break
            callback.on_rollout_end()
            self._update_current_progress_remaining(self.num_timesteps, total)
            left = self._current_progress_remaining
            update_learning_rate(self.policy.optimizer, self.lr_schedule(left) * max(left, LEAST_STEP))
            self._train(*played)
            self.rounds += 1
            if self.rounds % log_interval == 0:
                self.logger.dump(self.num_timesteps)
        callback.on_training_end()
        return self

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        policy_class: Any = self.policy_class
        arguments = {"optimizer_class": MuonWithAdam, **self.policy_kwargs}
        self.policy = policy_class(self.observation_space, self.action_space, self.lr_schedule, **arguments).to(
            self.device
        )

    def _setup_lr_schedule(self) -> None:
        self.lr_schedule = FloatSchedule(self.learning_rate)

    def _arena(self) -> MigrationVectorEnv:
        """Return environments like those of training, which wait for each other at the end of an episode."""
        env: Any = self.env
        episodes = env.env.episodes
        return MigrationVectorEnv(
            env.num_envs,
            episodes.generator,
            episodes.decision_mode,
            autoreset_mode=AutoresetMode.DISABLED,
        )

    def _play(self, arena: MigrationVectorEnv, callback: BaseCallback) -> tuple[Moments, Tensor] | None:
        """Play one episode in every row.

        Returns:
            The moments, and what `_judged` has to say of the rows; None if a callback ends the training.
        """
        groups = arena.num_envs // self.group_size
        begun = np.random.SeedSequence([self.seed or 0, self.num_timesteps]).generate_state(groups)
        generator: Any = arena.episodes.generator
        observation = arena.begin([generator.draw(np.random.default_rng(int(seed)), generator.chunk) for seed in begun])
        horizons_s = _horizons_s(arena)
        running, collected = np.ones(arena.num_envs, np.bool_), Round(self.most_gigabytes * 1e9)
        state, users = arena.episodes.state, arena.episodes.actions.users
        costs = np.zeros((arena.num_envs, self.parts, users))
        while running.any():
            rows = np.flatnonzero(running)
            times, before_s = state.time_s[rows] / horizons_s[rows], state.user_cost_s[rows]
            parts = np.minimum((times * costs.shape[1]).astype(np.int64), costs.shape[1] - 1)
            moment = self._decide(rows, observation, parts, users)
            collected.add(moment)
            actions = np.zeros(arena.num_envs, np.int64)
            actions[rows] = moment.action.cpu().numpy()
            self.num_timesteps += len(rows)
            observation, _, ended, _, infos = arena.step(actions)
            costs[rows, parts] += state.user_cost_s[rows] - before_s
            if not callback.on_step():
                return None
            for row in np.flatnonzero(running & ended):
                delays = {name: float(infos[name][row]) for name in ("mean_delay_s", "device_only_delay_s")}
                costs[row] /= delays["device_only_delay_s"] * state.expected_queries[row]
                self.ep_info_buffer.append(delays)  # type: ignore[union-attr]
            running &= ~ended
        share = costs.sum(axis=(1, 2)).reshape(groups, -1)
        self.logger.record("rollout/spread_in_group", float(share.std(axis=1).mean()))
        self.logger.record("rollout/best_of_group", float(share.min(axis=1).mean()))
        self.logger.record("rollout/share_kept", collected.share)
        return collected.moments(), self._judged(costs, horizons_s)

    def _decide(self, rows: Ints, observation: Observations, parts: Ints, users: int) -> Moments:
        """Draw an action for each of some rows, which are in some parts of their time and hold so many users."""
        row, part = torch.as_tensor(rows).to(self.device), torch.as_tensor(parts).to(self.device)
        seen, legal = (torch.as_tensor(observation[name]).to(self.device)[row] for name in SEEN)
        actions, log_probs = [], []

        @torch.no_grad()  # here, as every thread would compute gradients by itself
        def choices_of(at: Tensor) -> Any:
            return self._choices(seen[at], legal[at])

        for choices in in_pieces(torch.arange(len(rows), device=self.device), self.device, choices_of):
            action = choices.sample()
            actions.append(action)
            log_probs.append(choices.log_prob(action))
        drawn, likely = torch.cat(actions), torch.cat(log_probs)
        about = drawn // ((legal.shape[1] - 1) // users)  # "stop" is the last action
        return Moments(row, seen, legal, drawn, likely, part, about)

    def _gradient_step(self, batch: Tensor, loss_of: Callable[[Tensor], tuple[Tensor, Told]]) -> list[Told]:
        """Take a gradient step on a batch; the arguments and what is returned are those of `learn_from`."""
        told = learn_from(self.policy.parameters(), batch, self.device, loss_of)
        nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()
        return told

    def _choices(self, observation: Tensor, mask: Tensor) -> Any:
        """Return the distribution from which the policy draws its actions."""
        network: Any = self.policy.mlp_extractor
        return MaskedCategorical(network({"observation": observation, "action_mask": mask})[0])

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "policy.optimizer"], []


def _horizons_s(arena: MigrationVectorEnv) -> Floats:
    """Return how long the episode of each row lasts, in seconds, shape (B,)."""
    packed = arena.episodes.packed
    horizons_s: Floats = packed.slot_edges_s[np.arange(arena.num_envs), packed.num_slots]
    return horizons_s
