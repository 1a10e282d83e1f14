"""How weights and the data of queries share the radio uplink: the three readings of the model."""

from __future__ import annotations

from typing import Literal, get_args

Uplink = Literal["priority", "shared", "independent"]
"""How weights and the data of queries share the radio uplink. `priority`: weights give way to data, and move only while
no data do. `shared`: an upload is one more customer beside the users' data. `independent`: they do not meet."""

UPLINKS: tuple[Uplink, ...] = get_args(Uplink)


def check_uplink(uplink: str) -> None:
    """Check that a reading of the uplink is known.

    Raises:
        ValueError: If it is not; the error lists the known ones.
    """
    if uplink not in UPLINKS:
        raise ValueError(f"uplink is {uplink!r}; choose one of {', '.join(UPLINKS)}.")
