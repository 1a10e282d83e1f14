"""Of which scenario a plan is: names for people, and a check sum of everything that is given."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from dnnmig_env.files.suggestion import suggestion
from dnnmig_env.scenarios.file.write import description_of
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan_file.schema import IdentityForm

_SHOWN = 12
"""Digits of a check sum that an error shows."""


def identity_of(scenario: Scenario) -> dict[str, Any]:
    """Return what the file of a plan says of its scenario."""
    return {
        "family": scenario.family,
        "servers": [server.name for server in scenario.servers],
        "users": {user.name: user.graph.name for user in scenario.users},
        "sha256": sha256_of(scenario),
    }


def sha256_of(scenario: Scenario) -> str:
    """Return the SHA-256 of a scenario in the form of a file, in hexadecimal digits.

    How a network came about, its `origin`, is left out: it tells of versions, and changes nothing.
    """
    description = description_of(scenario)
    for user in description["users"]:
        if isinstance(user["network"], dict):
            user["network"].pop("origin", None)
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def check_identity(form: IdentityForm, scenario: Scenario) -> None:
    """Check that a plan is of a scenario.

    Raises:
        ValueError: If users, servers or networks have other names, or the check sum is another one.
    """
    given = identity_of(scenario)
    for user, network in form.users.items():
        if user not in given["users"]:
            raise ValueError(
                f"scenario.users: it is the plan of another scenario, with a user {user!r}; "
                f"{suggestion(user, given['users'])}"
            )
        if network != given["users"][user]:
            raise ValueError(
                f"scenario.users.{user}: it is the plan of another scenario, in which this user has {network!r}, not "
                f"{given['users'][user]!r}; name the scenario that the plan was made for."
            )
    for what, found in (("users", list(form.users)), ("servers", form.servers)):
        if found != list(given[what]):
            raise ValueError(
                f"scenario.{what}: it is the plan of another scenario, whose {what} are {_listed(found)}, not "
                f"{_listed(list(given[what]))}; name the scenario that the plan was made for."
            )
    if form.sha256 is not None and form.sha256 != given["sha256"]:
        raise ValueError(
            f"scenario.sha256: it is the plan of another scenario ({form.sha256[:_SHOWN]}..., not "
            f"{given['sha256'][:_SHOWN]}...); name the scenario that the plan was made for, or remove sha256 and "
            "mean_delay_s from the plan to try it in this one."
        )


def _listed(names: list[str]) -> str:
    text = ", ".join(names)
    return text if len(text) <= 80 else f"{text[:77]}..."
