"""The studies that train agents, as data: what is trained, and which policies are played beside each other.

A row of a study is a policy by its name, as `python -m evaluate --policies` takes it; `{NAME}` in it stands for the
model of the agent NAME, and the row is then played once per training seed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.candidates.features import REFERENCE_FEATURES
from train.config import NetworkConfig

REFERENCE = "joint-efficiency"
"""The row to which delays are relative, in every study."""

PLANNERS = (REFERENCE, "pso-ga+lmu")


@dataclass(frozen=True)
class Agent:
    """What distinguishes an agent from others in its training.

    Attributes:
        changes: Fields of `TrainConfig` with values other than the defaults.
        is_trained: False leaves it as it is before its first step.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    is_trained: bool = True


@dataclass(frozen=True)
class Study:
    """What is trained and what is compared.

    Attributes:
        title: Heading of the table.
        agents: The agents by name.
        rows: The policy of each row by the row's name, in the table's order.
    """

    title: str
    agents: Mapping[str, Agent]
    rows: Mapping[str, str]

    def agent_in(self, row: str) -> str | None:
        """Return the name of the agent that plays a row, or None if only planners do."""
        found = re.search(r"\{(.+)\}", self.rows[row])
        return found.group(1) if found else None


def study(name: str) -> Study:
    """Return a study that trains agents, by its name on the command line."""
    return {"decisions": _decisions, "algorithms": _algorithms, "ablation": _ablation}[name]()


def _decisions() -> Study:
    """Plain observations for both, as candidates are uploads, not placements."""
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
    """Plain observations, from which all is to be learned; beside them what shows candidates, for comparison."""
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
    """PPO throughout; what is left out, or put in, is in the row's name."""
    warm = {"warm_start": REFERENCE}
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
