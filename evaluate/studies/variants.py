"""The studies that train agents, as data: what is trained, and which policies are compared.

A row of a study is a policy by its name, as `python -m evaluate --policies` takes it. `{NAME}` in it stands for the
model of the agent NAME; the row is then played once per training seed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.candidates.features import REFERENCE_FEATURES
from train.config import NetworkConfig

BASELINE = "joint-efficiency"
"""The row to which delays are relative, in every study."""

PLANNERS = (BASELINE, "pso-ga+lmu")
"""Planners that are played in every study."""


@dataclass(frozen=True)
class Agent:
    """What distinguishes the training of an agent from that of others.

    Attributes:
        changes: Fields of `TrainConfig` that differ from the defaults, with their values.
        is_trained: Whether it is trained; if not, it stays as it is before its first step.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    is_trained: bool = True


@dataclass(frozen=True)
class Study:
    """What is trained and what is compared.

    Attributes:
        title: Heading of the table.
        agents: The agents by name.
        rows: The policy of each row by the row's name, in the order of the table.
    """

    title: str
    agents: Mapping[str, Agent]
    rows: Mapping[str, str]

    def agent_in(self, row: str) -> str | None:
        """Return the name of the agent that plays a row, or None if it is a planner's row."""
        found = re.search(r"\{(.+)\}", self.rows[row])
        return found.group(1) if found else None


def study(name: str) -> Study:
    """Return a study that trains agents, by its name on the command line."""
    return {"decisions": _decisions, "algorithms": _algorithms, "ablation": _ablation}[name]()


def _decisions() -> Study:
    """Return the study of joint and two-phase decisions.

    Both see plain observations, as candidates are uploads, not placements.
    """
    return Study(
        title="Joint against two-phase decisions, PPO, plain observations",
        agents={
            "joint": Agent({"observation": "plain"}),
            "two-phase": Agent({"observation": "plain", "decisions": "two-phase"}),
        },
        rows={
            "joint": "{joint}",
            "two-phase": "{two-phase}",
            **{name: name for name in (*PLANNERS, "best-server+lmu")},
        },
    )


def _algorithms() -> Study:
    """Return the study of learning algorithms.

    They see plain observations, from which everything has to be learned; agents that see candidates are added for
    comparison.
    """
    names = ("ppo", "a2c", "dqn", "maskable-ppo")
    agents = {name: Agent({"algorithm": name, "observation": "plain"}) for name in names} | {
        "ppo-candidates": Agent({"algorithm": "ppo"}),
        "hindsight-candidates": Agent({"algorithm": "hindsight"}),
        "untrained-candidates": Agent(is_trained=False),
    }
    return Study(
        title="Algorithms after equally many decisions, plain observations unless said",
        agents=agents,
        rows={name: f"{{{name}}}" for name in agents} | {name: name for name in PLANNERS},
    )


def _ablation() -> Study:
    """Return the study of what the agent sees, how it is trained and how it decides.

    The algorithm is PPO throughout; the name of a row says what is left out or added.
    """
    warm = {"warm_start": BASELINE}
    agents = {
        "candidates": Agent(),
        "candidates-warm-start": Agent(warm),
        "candidates-without-gain": Agent({"network": NetworkConfig(blind=("gain",))}),
        "candidates-without-reference": Agent({"network": NetworkConfig(blind=REFERENCE_FEATURES)}),
        "plain": Agent({"observation": "plain"}),
        "plain-warm-start": Agent({"observation": "plain", **warm}),
    }
    rows = {}
    for name in agents:
        rows[name] = f"{{{name}}}"
        if name in ("candidates", "plain"):
            rows[f"{name}, best of 64"] = f"{{{name}}}@64"
    return Study(
        title="What the agent sees, how it is trained and how it decides, PPO",
        agents=agents,
        rows=rows | {name: name for name in PLANNERS},
    )
