"""The studies that train agents, as data: what is trained, and which policies are compared.

A row of a study is a policy by its name, as `python -m evaluate --policies` takes it. `{NAME}` in it stands for the
model of the agent NAME; the row is then played once per training seed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.learning.registry import ALGORITHMS

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
    """Return the study of joint and two-phase decisions."""
    return Study(
        title="Joint against two-phase decisions",
        agents={"joint": Agent(), "two-phase": Agent({"decisions": "two-phase"})},
        rows={
            "joint": "{joint}",
            "two-phase": "{two-phase}",
            **{name: name for name in (*PLANNERS, "best-server+lmu")},
        },
    )


def _algorithms() -> Study:
    """Return the study of learning algorithms, none of which has a teacher."""
    agents = {name: Agent({"algorithm": name}) for name in ALGORITHMS} | {"untrained": Agent(is_trained=False)}
    return Study(
        title="Algorithms",
        agents=agents,
        rows={name: f"{{{name}}}" for name in agents} | {name: name for name in PLANNERS},
    )


def _ablation() -> Study:
    """Return the study of what each part of the network and of its training is worth: one of them is left out."""
    warm = {"warm_start": BASELINE}
    agents = {
        "warm start, grpo": Agent(warm),
        "warm start, ppo": Agent({"algorithm": "ppo", **warm}),
        "grpo alone": Agent(),
        **{
            name: Agent({**warm, "policy_class": f"evaluate.studies.ablated:{kind}"})
            for name, kind in _LEFT_OUT.items()
        },
    }
    rows = {}
    for name in agents:
        rows[name] = f"{{{name}}}"
    rows["warm start, grpo, best of 64"] = "{warm start, grpo}@64"
    return Study(
        title="What each part of the agent is worth",
        agents=agents,
        rows=rows | {name: name for name in PLANNERS},
    )


_LEFT_OUT = {
    "without sums": "WithoutSums",
    "without messages": "WithoutMessages",
}
"""What is left out of the network of an agent, and its policy class in `evaluate.studies.ablated`."""
