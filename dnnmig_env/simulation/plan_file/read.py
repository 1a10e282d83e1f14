"""Reads a plan: finds the users, servers and layers that a file names in a scenario."""

from __future__ import annotations

from dataclasses import dataclass

from dnnmig_env.files.suggestion import suggestion
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, Upload, check_plan
from dnnmig_env.simulation.plan_file.identity import check_identity
from dnnmig_env.simulation.plan_file.schema import MoveForm, PlanForm


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A plan that was read from a file.

    Attributes:
        plan: The plan.
        policy: Who decided; empty if the file does not say.
        mean_delay_s: Mean query delay that the file promises; None if it does not say.
    """

    plan: Plan
    policy: str
    mean_delay_s: float | None


def plan_in(form: PlanForm, scenario: Scenario) -> SavedPlan:
    """Return the plan that a file holds.

    Args:
        form: The content of the file.
        scenario: The scenario of which it should be.

    Raises:
        ValueError: If it is a plan of another scenario, or one that cannot be carried out.
    """
    check_identity(form.scenario, scenario)
    users = [user.name for user in scenario.users]
    servers = [server.name for server in scenario.servers]
    layers = [{layer.name: index for index, layer in enumerate(user.graph.layers)} for user in scenario.users]
    uploads = []
    for number, move in enumerate(form.moves):
        user = _index(f"moves[{number}].user", "user", move.user, users)
        server = _index(f"moves[{number}].server", "server", move.server, servers) + 1
        uploads.append(Upload(user, server, _layers(number, move, layers[user]), move.not_before_s))
    plan = Plan(tuple(uploads))
    check_plan(scenario, plan)
    return SavedPlan(plan, form.policy, form.mean_delay_s)


def _layers(number: int, move: MoveForm, known: dict[str, int]) -> tuple[int, ...]:
    found: list[int] = []
    for position, name in enumerate(move.names):
        place = f"moves[{number}].layers[{position}]"
        if name not in known:
            raise ValueError(f"{place}: the network of {move.user!r} has no layer {name!r}; {suggestion(name, known)}")
        if known[name] in found:
            raise ValueError(f"{place}: {name!r} is in this move twice; name it once.")
        found.append(known[name])
    return tuple(found)


def _index(place: str, kind: str, name: str, names: list[str]) -> int:
    if name not in names:
        raise ValueError(f"{place}: there is no {kind} {name!r}; {suggestion(name, names)}")
    return names.index(name)
