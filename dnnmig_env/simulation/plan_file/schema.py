"""What the file of a plan may hold: one form for each kind of mapping in it, checked key by key by `strict_model`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dnnmig_env.files.quantities import Amount
from dnnmig_env.files.strict_model import Form, checked
from dnnmig_env.scenarios.file.schema import TextOr

FORMAT, VERSION = "dnnmig-plan", 1
"""What a file says of itself; the version grows when earlier programs cannot read a new file."""


class LayerForm(Form):
    """A layer that is sent: its name, and what the simulation said of it."""

    layer: str
    source: str | None = None
    start_s: Amount | None = None
    stop_s: Amount | None = None
    arrives: bool = True


class MoveForm(Form):
    """Layers of a user that go to a server and become usable together."""

    user: str
    server: str
    layers: Annotated[list[TextOr[LayerForm]], Field(min_length=1)]
    not_before_s: Amount = 0.0
    usable_s: Amount | None = None

    @property
    def names(self) -> list[str]:
        """The names of the layers, in the order in which they are sent."""
        return [each if isinstance(each, str) else each.layer for each in self.layers]


class IdentityForm(Form):
    """Of which scenario a plan is."""

    family: str = "custom"
    servers: list[str]
    users: dict[str, str]
    sha256: str | None = None


class PlanForm(Form):
    """A whole file."""

    format: Literal["dnnmig-plan"]
    version: int
    policy: str = ""
    scenario: IdentityForm
    mean_delay_s: Amount | None = None
    moves: list[MoveForm]
    placement: dict[str, dict[str, list[str]]] | None = None


def checked_form(data: object) -> PlanForm:
    """Return the content of a file as a form.

    Raises:
        ValueError: If it is no plan, or one of another version; in one line with the place, the value and the remedy.
    """
    # A later version may have other keys, so it is looked at first.
    version = data.get("version", VERSION) if isinstance(data, dict) else VERSION
    if version != VERSION or isinstance(version, bool):
        raise ValueError(f"version: {version!r}; this program reads version {VERSION}; give a plan of that one.")
    return checked(PlanForm, data)
