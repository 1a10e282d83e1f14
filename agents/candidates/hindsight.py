"""Learning from hindsight: once a scenario has been played, what would each candidate have been worth?

One round plays some scenarios with the present policy, then goes through them again. At a share of the moments, every
candidate is tried in place of the decision taken (`agents.candidates.hindsight_costs`). The policy network learns by
regression what that saves: the scores of two candidates are to differ by as much as in the greedy order, plus
`logit_per_gain` times the difference of their savings. As observations hold nothing of the future, it learns what is
worth doing on average. Costs to go as targets of a cost-sensitive regression, in the states that the policy reaches: S.
Ross and J. A. Bagnell, "Reinforcement and Imitation Learning via Interactive No-Regret Learning" (AggreVaTe, 2014).

Policy gradients estimate the worth of one decision per moment from the return of a whole episode, which depends on all
other decisions and on the scenario. Here all candidates of a moment are judged under the same future and with the same
other decisions. Moving probabilities towards what each future favours was tried first: that counts futures instead of
weighing them, and prefers what often saves a little and at times loses much. Ours, no published counterpart.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import MaybeCallback, Schedule
from stable_baselines3.common.utils import FloatSchedule, update_learning_rate
from torch import nn

from agents.candidates.layout import MOST_CANDIDATES
from agents.candidates.network import CandidateNetwork, numbers
from agents.learning.decision_buffer import DecisionBuffer
from agents.learning.masked_policy import MaskedActorCriticPolicy
from agents.learning.sb3_vec_env import Sb3VecEnv
from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.envs.vector_env import MigrationVectorEnv, Observations
from dnnmig_env.simulation.plan_arrays import PlanArrays

MOST_GAIN = 0.05
"""Savings and losses count up to this share of an episode's cost: single ones of half of it would drown all others."""

FAR = 3.0
"""Error of a score from which on Huber's loss grows linearly instead of quadratically."""

LEAST_STEP = 0.1
"""The learning rate falls linearly, down to this share of its first value."""


class Hindsight(BaseAlgorithm):
    """Algorithm of Stable-Baselines3 (SB3) that trains a policy network on candidates, as the module describes.

    Args:
        policy: `MaskedActorCriticPolicy`.
        env: Environments with `observation="candidates"`; a round draws one scenario per row from their generator.
        learning_rate: Step size of Adam at first.
        share: Share of the moments of a round that are looked at.
        candidates: Number of candidates that are looked at.
        logit_per_gain: By how much the score of a candidate rises that saves the whole cost of an episode.
        buffer_size: Number of moments that are kept and learned from.
        batch_size: Moments per gradient step.
        n_epochs: How often a moment is learned from on average.
        tau: Share by which the acting network follows the learning one at each gradient step.
        policy_kwargs: Arguments of the policy.
        tensorboard_log: As in SB3.
        verbose: As in SB3.
        seed: Seed of the weights and scenarios.
        device: As in SB3; a CPU is enough.
        _init_setup_model: As in SB3.

    Raises:
        ValueError: If the environments show no candidates, or there are not so many.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {}

    def __init__(
        self,
        policy: type[MaskedActorCriticPolicy],
        env: Sb3VecEnv,
        learning_rate: float | Schedule = 1e-3,
        share: float = 0.3,
        candidates: int = 10,
        logit_per_gain: float = 300.0,
        buffer_size: int = 60_000,
        batch_size: int = 512,
        n_epochs: int = 8,
        tau: float = 0.01,
        policy_kwargs: dict[str, Any] | None = None,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        if env is not None and env.env.episodes.observer.kind != "candidates":  # SB3 loads models without environments
            raise ValueError(
                f"observation is {env.env.episodes.observer.kind!r}, but hindsight is about candidates; "
                'make the environments with observation="candidates", or take ppo.'
            )
        if candidates > MOST_CANDIDATES:
            raise ValueError(f"candidates is {candidates}; look at 1 to {MOST_CANDIDATES}, as many as are listed.")
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
        )
        self.share, self.candidates, self.logit_per_gain, self.buffer_size = (
            share,
            candidates,
            logit_per_gain,
            buffer_size,
        )
        self.batch_size, self.n_epochs, self.tau = batch_size, n_epochs, tau
        self.rounds = 0
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        policy_class: Any = self.policy_class
        self.policy = policy_class(
            self.observation_space, self.action_space, self.lr_schedule, **self.policy_kwargs
        ).to(self.device)
        self.learner = copy.deepcopy(_network(self.policy))
        self.optimizer = torch.optim.Adam(self.learner.parameters(), lr=self.lr_schedule(1.0))
        space: Any = self.observation_space
        self._buffer = DecisionBuffer(self.buffer_size, space["observation"].shape[0], self.candidates + 1)

    def _setup_lr_schedule(self) -> None:
        self.lr_schedule = FloatSchedule(self.learning_rate)

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "hindsight",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Hindsight:
        """Play and learn for `total_timesteps` decisions; those of the second pass through a round do not count."""
        total, callback = self._setup_learn(total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar)
        arena = self._arena()
        if self.rounds == 0:  # the policy may have imitated a teacher
            self.learner.load_state_dict(_network(self.policy).state_dict())
        callback.on_training_start(locals(), globals())
        while self.num_timesteps < total:
            callback.on_rollout_start()
            begun = np.random.SeedSequence([self.seed or 0, self.num_timesteps])
            actions = self._play(arena, begun, callback)
            if actions is None:
                break
            callback.on_rollout_end()
            looked_at = self._look_back(arena, begun, actions, self._buffer)
            self._update_current_progress_remaining(self.num_timesteps, total)
            left = self._current_progress_remaining
            update_learning_rate(self.optimizer, self.lr_schedule(left) * max(left, LEAST_STEP))
            self._train(self.learner, self.optimizer, self._buffer, looked_at)
            self.rounds += 1
            if self.rounds % log_interval == 0:
                self.logger.dump(self.num_timesteps)
        callback.on_training_end()
        return self

    def _arena(self) -> MigrationVectorEnv:
        env: Any = self.env
        episodes = env.env.episodes
        return MigrationVectorEnv(
            env.num_envs, episodes.generator, autoreset_mode=AutoresetMode.DISABLED, observation="candidates"
        )

    def _play(
        self, arena: MigrationVectorEnv, begun: np.random.SeedSequence, callback: BaseCallback
    ) -> list[Ints] | None:
        """Play one scenario in every row; return the actions, or None if a callback ends the training."""
        observation, _ = arena.reset(seed=_seeds(begun, arena.num_envs))
        running, taken = np.ones(arena.num_envs, np.bool_), []
        while running.any():
            actions, _ = self.policy.predict(observation, deterministic=True)
            self.num_timesteps += int(running.sum())
            taken.append(actions)
            observation, _, ended, _, infos = arena.step(actions)
            if not callback.on_step():
                return None
            for row in np.flatnonzero(running & ended):
                self.ep_info_buffer.append(  # type: ignore[union-attr]
                    {name: float(infos[name][row]) for name in ("mean_delay_s", "device_only_delay_s")}
                )
            running &= ~ended
        return taken

    def _look_back(
        self, arena: MigrationVectorEnv, begun: np.random.SeedSequence, taken: list[Ints], buffer: DecisionBuffer
    ) -> int:
        """Go through the same episodes again and add a share of their moments to the buffer; return how many."""
        episodes, rng, count, saved = arena.episodes, np.random.default_rng(begun), 0, []
        observer: Any = episodes.observer
        plans = PlanArrays._make(array.copy() for array in episodes.uploads)
        final_s = episodes.state.cost_s.copy()
        observation, _ = arena.reset(seed=_seeds(begun, arena.num_envs))
        running = np.ones(arena.num_envs, np.bool_)
        for actions in taken:
            rows = np.flatnonzero(running & (rng.random(arena.num_envs) < self.share))
            if len(rows):
                costs = observer.hindsight_costs(rows, plans, self.candidates)
                gains = (costs[:, -1:] - costs[:, :-1]) / final_s[rows, None]
                seen = {name: array[rows] for name, array in observation.items()}
                self._add(seen, actions[rows], gains, buffer)
                count += len(rows)
                saved.append(np.maximum(gains.max(1), 0.0))
            observation, _, ended, _, _ = arena.step(actions)
            running &= ~ended
        self.logger.record("hindsight/best_gain", float(np.concatenate(saved).mean()) if saved else 0.0)
        self.logger.record("hindsight/moments", count)
        return count

    def _add(self, seen: Observations, taken: Ints, gains: Floats, buffer: DecisionBuffer) -> None:
        mask = torch.as_tensor(seen["action_mask"])
        observation, stop = torch.as_tensor(seen["observation"]), mask.shape[1] - 1
        number = numbers(observation, mask.shape[1])[:, : self.candidates]
        exists = torch.cat([number > 0, torch.ones((len(number), 1), dtype=torch.bool)], dim=1)
        action = torch.where(exists, torch.cat([number - 1, torch.full((len(number), 1), stop)], dim=1), stop)
        decided = torch.as_tensor(taken)
        gain = torch.as_tensor(np.clip(gains, -MOST_GAIN, MOST_GAIN), dtype=torch.float32)
        compared = exists & (action != decided[:, None])
        buffer.add(observation, action, torch.where(compared, gain, torch.nan), decided)

    def _train(
        self, learner: CandidateNetwork, optimizer: torch.optim.Adam, buffer: DecisionBuffer, looked_at: int
    ) -> None:
        acting, losses = _network(self.policy), []
        actions = self.action_space.n  # type: ignore[attr-defined]
        mask = torch.ones((1, actions), device=self.device).expand(self.batch_size, -1)  # "stop" is always legal
        untrained = CandidateNetwork(acting.layout, acting.width, acting.blind).to(self.device)
        for _ in range(max(1, self.n_epochs * looked_at // self.batch_size) if buffer.count else 0):
            at = torch.randint(buffer.count, (self.batch_size,))
            observation = buffer.observation[at].to(self.device)
            with torch.no_grad():
                greedy, _ = untrained(observation, mask)
            learned = learner(observation, mask)[0] - greedy  # 0 where both scores are ILLEGAL
            action, taken = buffer.action[at].to(self.device), buffer.taken[at].to(self.device)
            gain = buffer.gain[at].to(self.device)
            compared = ~gain.isnan()
            if not compared.any():
                continue
            error = learned.gather(1, action) - learned.gather(1, taken[:, None]) - self.logit_per_gain * gain
            error = error[compared]
            loss = nn.functional.huber_loss(error, torch.zeros_like(error), delta=FAR) / FAR
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
            optimizer.step()
            with torch.no_grad():
                for slow, fast in zip(acting.parameters(), learner.parameters(), strict=True):
                    slow.lerp_(fast, self.tau)
            losses.append(loss.item())
        self.logger.record("hindsight/error", float(np.mean(losses)) if losses else 0.0)

    def memory(self) -> dict[str, NDArray[Any]]:
        """Return the moments that are learned from."""
        return self._buffer.arrays()

    def remember(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over moments that `memory` returned.

        Raises:
            ValueError: If they are of another size.
        """
        self._buffer.take(arrays)

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "learner", "optimizer"], []


def _network(policy: Any) -> CandidateNetwork:
    network: CandidateNetwork = policy.mlp_extractor.network
    return network


def _seeds(begun: np.random.SeedSequence, rows: int) -> list[int]:
    return [int(seed) for seed in begun.generate_state(rows)]
