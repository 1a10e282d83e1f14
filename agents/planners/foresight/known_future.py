"""What a clairvoyant sends ahead: of what its users need in their next cells, that which pays off as it will be.

Two things are asked, of which only somebody who knows the future can be sure:

- Is it there in time? Weights that are still on the wire when their user comes keep it waiting for longer than the
  radio of the new cell would.
- Does it pay? What is sent ahead for one user takes wires, and memory from others. For each user, both courses are
  simulated, to send now or only once it is there, with the rates and the cells of the next `WINDOW_S` seconds.

Measured on 28 November 2026: `joint-efficiency@clairvoyant` in 12 scenarios of a town (`city` with wires of 15 to 40
Mbit/s and memory for 4 to 6 networks), delay relative to `@replan`: 0.77 with the first question alone, 0.74 with both.
In 10 scenarios of another town: 0.80 with neither question, 0.76 with the first one if nothing may come later than its
user, 0.74 if `LATE_S` are allowed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agents.planners.foresight.uploads_view import held_by_servers
from dnnmig_env.scenarios.scenario import Scenario, derived
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s

WINDOW_S = 60.0
"""How many seconds ahead are simulated."""

LATE_S = 4.0
"""By how many seconds weights may be sent for longer than until their user comes."""


def worth_sending(ahead: Plan, needed: Plan, known: Scenario, whole: Scenario, slot: int, time_s: float) -> Plan:
    """Return which of the uploads ahead pay off.

    Args:
        ahead: What might be sent ahead, each upload of a single layer to the server of its user's next cell.
        needed: What is sent before it.
        known: What is known of the scenario, in one slot, if what lies in next cells counts as kept.
        whole: The whole scenario, its future included.
        slot: The present slot.
        time_s: The present time.
    """
    enters_s = {upload.user: _enters_s(whole, slot, upload.user, upload.server) - time_s for upload in ahead.uploads}
    in_time = [upload for upload in ahead.uploads if _by_wire_s(upload, known) <= enters_s[upload.user] + LATE_S]
    users = {upload.user for upload in in_time}
    if not users:
        return Plan()

    def sent_now(chosen: set[int]) -> list[Upload]:
        return [upload for upload in in_time if upload.user in chosen]

    def course(chosen: set[int]) -> Plan:
        """Return all that is sent if it is sent ahead for the chosen users, and for the others once they are there."""
        now = sent_now(chosen)
        later = [
            replace(upload, not_before_s=max(enters_s[upload.user], 0.0))
            for upload in ahead.uploads
            if upload not in now
        ]
        return Plan((*needed.uploads, *now, *later))

    future = pack([_future(known, whole, slot, time_s)])
    ordered = sorted(users)
    courses = [users, *(users - {user} for user in ordered), set[int]()]
    delays_s = mean_delays_s(future, plan_arrays([course(chosen) for chosen in courses]))
    best, best_s = courses[int(np.argmin(delays_s))], float(delays_s.min())
    without = {user for user, delay_s in zip(ordered, delays_s[1:-1].tolist(), strict=True) if delay_s < delays_s[0]}
    if len(without) > 1:
        rest = users - without
        if float(mean_delays_s(future, plan_arrays([course(rest)]))[0]) < best_s:
            best = rest
    return Plan(tuple(sent_now(best)))


def _enters_s(whole: Scenario, slot: int, user: int, server: int) -> float:
    """Return when a user next comes to the cell of a server; infinite if it never does."""
    (later,) = np.nonzero(np.asarray(whole.links.home)[slot:, user] == server)
    return float(np.asarray(whole.slot_starts_s)[slot + later[0]]) if len(later) else float("inf")


def _by_wire_s(upload: Upload, known: Scenario) -> float:
    """Return how long an upload takes by the fastest wire from a server that holds its layer; infinite without one."""
    user, layer = known.users[upload.user], upload.layers[0]
    holds = held_by_servers(user, len(known.servers))[layer]
    rate = np.asarray(known.links.between_bytes_per_s)[holds, upload.server - 1].max(initial=0.0)
    return float(user.graph.weight_bytes[layer] / rate) if rate > 0 else float("inf")


def _future(known: Scenario, whole: Scenario, slot: int, time_s: float) -> Scenario:
    """Return the next `WINDOW_S` seconds of a scenario, beginning with what lies on servers now."""
    starts_s = np.asarray(whole.slot_starts_s)
    horizon_s = min(WINDOW_S, whole.horizon_s - time_s)
    slots = slice(slot, int(np.searchsorted(starts_s, time_s + horizon_s, side="left")))
    courses = ("up_bytes_per_s", "down_bytes_per_s", "up_latency_s", "down_latency_s", "home")
    return derived(
        known,
        users=tuple(
            replace(now, query_rate_hz=np.asarray(course.query_rate_hz)[slots])
            for now, course in zip(known.users, whole.users, strict=True)
        ),
        execution_s=known.execution_s,
        links=replace(known.links, **{name: np.asarray(getattr(whole.links, name))[slots] for name in courses}),
        slot_starts_s=np.maximum(starts_s[slots] - time_s, 0.0),
        horizon_s=horizon_s,
        mobility=None,
    )
