"""The card of a trained model: what it was trained for, as its file says."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from agents.policy_networks import WIDEST
from dnnmig_env.envs.facts.layout import FactsLayout
from dnnmig_env.files.own_code import NAME

CARD = "dnnmig.json"
"""Name of the card in a model file."""

FORMAT = 5
"""Number of the layout of model files. Training goes on only with files of the same number; the networks of older ones
still act if they saw plain observations. 1: before modules were moved into rooms. 2: with pickled objects of SB3, which
are not read any more. 3: with the kind of observations and what the network did not see of them. 4: the weight of
efficiency, with which training began, stands by itself."""

FORMER = {"observation": "plain", "blind": []}
"""Names on cards of former formats, and the only values with which a network still acts."""

_Count = Annotated[int, Field(ge=1, le=10**6)]
_Setting = int | float | bool | str | None
_Width = Annotated[int, Field(ge=1, le=WIDEST)]


@with_config(ConfigDict(extra="forbid", strict=True))
@dataclass(frozen=True)
class Card:
    """What a model was trained for.

    Attributes:
        algorithm: Name of the algorithm; of one's own, `package.module:Class`.
        family: Family of the scenarios.
        decisions: "joint" or "two-phase".
        users: Most users, U.
        layers: Most layers per network, L.
        servers: Most servers, S.
        width: See `FactsNetwork`.
        context: See `FactsNetwork`.
        steps: Number of decisions on which it was trained.
        edges: Most edges of a network, E.
        lanes: Whether it saw facts about several lanes.
        format: Layout of the file, see `FORMAT`.
        policy_class: Policy class of one's own, `package.module:Class`; None = the algorithm's. The weights are then
            those of that class.
        policy_settings: Arguments of that class by their names, beside those that the training gives itself.
    """

    algorithm: str
    family: str
    decisions: Annotated[str, Field(pattern="^(joint|two-phase)$")]
    users: _Count
    layers: _Count
    servers: _Count
    width: _Width
    context: _Width
    steps: Annotated[int, Field(ge=0)]
    edges: Annotated[int, Field(ge=0, le=10**6)] = 0
    lanes: bool = False
    format: int = 1
    policy_class: Annotated[str, Field(pattern=f"^{NAME}:{NAME}$")] | None = None
    policy_settings: dict[str, _Setting | list[_Setting]] = field(default_factory=dict)

    def text(self) -> str:
        """Return the card as it stands in a file; without a policy class of one's own, nothing is said of one."""
        values = asdict(self)
        if self.policy_class is None:
            del values["policy_class"], values["policy_settings"]
        return json.dumps(values, indent=1)

    @property
    def layout(self) -> FactsLayout:
        """How the observations were laid out on which it was trained."""
        return FactsLayout(self.users, self.layers, self.servers, self.edges, self.lanes)


def parsed_card(file: Path, text: bytes) -> Card:
    """Return the card of a model file from its text.

    Raises:
        ValueError: If the text is damaged, or the network saw what environments do not show any more.
    """
    try:
        return TypeAdapter(Card).validate_json(_without_former(file, text))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(
            f"{file} is damaged in its card, {CARD}{f', at {place}' if place else ''}: {first['msg']}; "
            "copy it again, or train the model again."
        ) from None


def _without_former(file: Path, text: bytes) -> bytes:
    """Return a card's text without what only former formats had; text that is no JSON object stays as it is.

    Raises:
        ValueError: If the network saw what environments do not show any more.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        return text
    for name, value in FORMER.items():
        if values.pop(name, value) != value:
            raise ValueError(
                f"{file} was trained by a former version to see what environments do not show any more; use the "
                "version that wrote it, or train anew."
            )
    return json.dumps(values).encode()
