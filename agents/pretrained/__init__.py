"""Trained agents that come with the project, one for each family that has one, and their cards.

An agent is `FAMILY.zip`, a model file with a small card (`agents.policies.card.Card`) and its weights only, and
`FAMILY.json`, an `AgentCard`, which says how it was trained and how well it does. `python -m evaluate publish RUN`
makes both from a training run. Begin with `pretrained_file`, by which agents are found.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

FOLDER = Path(__file__).parent
"""Where the agents are."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Figures(_Part):
    """What one policy made of the scenarios.

    Attributes:
        mean_delay_s: Mean query delay in seconds, averaged over scenarios.
        ci95: Its 95 % bootstrap interval.
        planning_s: Mean seconds that the policy took per scenario.
        agent_ratio: Mean delay of the agent (one pass) divided by that of this policy; below 1 the agent is better.
        agent_ratio_ci95: Its 95 % bootstrap interval, scenarios drawn in pairs.
    """

    mean_delay_s: Positive
    ci95: tuple[Positive, Positive]
    planning_s: Positive
    agent_ratio: Positive
    agent_ratio_ci95: tuple[Positive, Positive]


class Measured(_Part):
    """Results on scenarios that the family draws by default.

    Attributes:
        scenarios: Number of scenarios.
        seed: Their seed.
        policies: Figures by the names of the policies; "pretrained" is the agent itself.
    """

    scenarios: Count
    seed: NotNegative
    policies: dict[str, Figures]


class Check(_Part):
    """A figure that anybody can reproduce in seconds: the delay of the agent, in one pass, in a few scenarios.

    Attributes:
        scenarios: Number of scenarios, which the family draws by default.
        seed: Their seed.
        mean_delay_s: Mean query delay in seconds, averaged over scenarios.
    """

    scenarios: Count
    seed: NotNegative
    mean_delay_s: Positive


class AgentCard(_Part):
    """What is known of a trained agent.

    Attributes:
        family: Family of scenarios on which it was trained.
        algorithm: Algorithm with which it was trained.
        decisions: "joint" or "two-phase".
        seed: Seed of its training.
        steps: Number of decisions on which it was trained.
        commands: The commands that trained it.
        trained_with: Versions of packages and the machine of its training.
        measured_with: Versions of packages and the machine of its results.
        published: Day on which it was measured and published.
        sha256: Digest of its model file.
        results: How well it does, and other policies beside it.
        check: A figure to reproduce.
    """

    family: str
    algorithm: str
    decisions: str
    seed: NotNegative
    steps: NotNegative
    commands: tuple[str, ...]
    trained_with: dict[str, str | int]
    measured_with: dict[str, str | int]
    published: date
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    results: Measured
    check: Check


def pretrained_families(folder: Path | None = None) -> list[str]:
    """Return the families that have an agent in a folder, by default in this one."""
    return sorted(path.stem for path in (folder or FOLDER).glob("*.zip"))


def pretrained_file(family: str, folder: Path | None = None) -> Path:
    """Return the model file of a family's agent.

    Raises:
        ValueError: If the family has none; the message says which families have one.
    """
    file = (folder or FOLDER) / f"{family}.zip"
    if not file.is_file():
        there = ", ".join(pretrained_families(folder)) or "none yet"
        raise ValueError(f"no pretrained agent for family {family!r}; there are: {there}. Train one: python -m train.")
    return file


def read_agent_card(family: str, folder: Path | None = None) -> AgentCard:
    """Return the card of a family's agent.

    Raises:
        ValueError: If the family has no agent, or its card is missing or damaged.
    """
    file = pretrained_file(family, folder).with_suffix(".json")
    try:
        return AgentCard.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{file} is missing; publish the agent again: python -m evaluate publish.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the start"
        raise ValueError(f"{file} is damaged at {where}: {first['msg']}; publish the agent again.") from None
