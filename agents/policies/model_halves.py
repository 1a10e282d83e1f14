"""Half a trained model beside half a planner: who decides well, where layers go or in which order they are uploaded?

A network that was trained with two-phase decisions first places every layer and then orders the uploads. Either half
can be taken alone: `ModelPlacement` stops it after the last placement, so that any order planner may go on, and
`ModelOrder` takes a placement planner's decisions in its stead, so that it orders the uploads of another's placement.
Both decide greedily, in a two-phase environment of what is known of the scenario, and draw nothing.
"""

from __future__ import annotations

import numpy as np
from gymnasium.vector import AutoresetMode

from agents.planners import order_planner, placement_planner
from agents.planners.protocol import Placement, Planner, TwoPhase
from agents.policies.name import HalfName
from agents.policies.trained import TrainedPolicy, load, read_card
from dnnmig_env.envs.vector_env import MigrationVectorEnv, Observations
from dnnmig_env.families.registry import Generator
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan


def half_planner(name: HalfName, generator: Generator) -> Planner:
    """Return the planner of which one half is a trained model.

    Args:
        name: Which model, which planner, and who does what.
        generator: Gives the sizes of the largest scenario to come, and their family; nothing is drawn.

    Raises:
        ValueError: If there is no such planner or model, or the model has no halves.
    """
    if name.places:
        order = order_planner(name.planner)
        return TwoPhase(ModelPlacement(*_model(name, generator)), order)
    return TwoPhase(placement_planner(name.planner), ModelOrder(*_model(name, generator)))


class ModelPlacement:
    """The first half of a two-phase model as a placement planner.

    Args:
        policy: The model.
        env: A two-phase environment of one row, not reset by itself, for which the model was loaded.
    """

    def __init__(self, policy: TrainedPolicy, env: MigrationVectorEnv) -> None:
        self._policy, self._env = policy, env

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Placement:
        """Return the placement; `rng` is not used."""
        env, placement = self._env, _nowhere(scenario)
        observation = _begin(env, scenario)
        while (pending := env.pending_layer()) is not None:
            actions, _ = self._policy.predict(observation)
            decoded = env.episodes.actions.decode(int(actions[0]))
            if decoded is not None:
                placement[pending[0]][pending[1]] = decoded[2]
            observation, *_ = env.step(actions)
        return placement


class ModelOrder:
    """The second half of a two-phase model as an order planner; what it never uploads stays on the device.

    Args:
        policy: The model.
        env: A two-phase environment of one row, not reset by itself, for which the model was loaded.
    """

    def __init__(self, policy: TrainedPolicy, env: MigrationVectorEnv) -> None:
        self._policy, self._env = policy, env

    def __call__(self, scenario: Scenario, placement: Placement, rng: np.random.Generator) -> Plan:
        """Return the plan, each layer a partition of its own; `rng` is not used."""
        env = self._env
        observation, ended = _begin(env, scenario), np.zeros(1, np.bool_)
        while not ended[0]:
            pending = env.pending_layer()
            if pending is None:
                actions, _ = self._policy.predict(observation)
            else:
                actions = np.array([_placing(env, pending, placement, observation)])
            observation, _, ended, _, _ = env.step(actions)
        return env.plan()


def _model(name: HalfName, generator: Generator) -> tuple[TrainedPolicy, MigrationVectorEnv]:
    """Return the model and the environment in which it decides."""
    path = name.model.path(generator.family)
    decisions = read_card(path).decisions
    if decisions != "two-phase":
        raise ValueError(
            f"{path} was trained with {decisions} decisions, which have no halves to put beside {name.planner!r}; "
            "take a model trained with --decisions two-phase, or use this one alone."
        )
    env = MigrationVectorEnv(1, generator, "two-phase", autoreset_mode=AutoresetMode.DISABLED)
    return load(path, env), env


def _begin(env: MigrationVectorEnv, scenario: Scenario) -> Observations:
    """Begin an episode of what is known in slot 0."""
    observation, _ = env.reset(options={"scenarios": [scenario]})
    known = env.known_scenario()
    if scenario.num_slots > 1 and known is not None:
        observation, _ = env.reset(options={"scenarios": [known]})
    return observation


def _nowhere(scenario: Scenario) -> Placement:
    """Return the placement as it is: every layer where it has been uploaded."""
    return tuple(np.array(user.uploaded, np.int8) for user in scenario.users)


def _placing(env: MigrationVectorEnv, pending: tuple[int, int], placement: Placement, observation: Observations) -> int:
    """Return the action that places a layer as planned, or, where that is not legal, on the device."""
    user, layer = pending
    server = int(placement[user][layer])
    action = env.encode(user, layer, server) if server > 0 else env.stop_action
    return action if observation["action_mask"][0, action] else env.stop_action
