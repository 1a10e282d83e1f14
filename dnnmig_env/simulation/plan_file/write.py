"""Describes a plan and what happened when it was carried out, as JSON with a move per line."""

from __future__ import annotations

import json
import math
from typing import Any

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Upload
from dnnmig_env.simulation.plan_file.identity import identity_of
from dnnmig_env.simulation.plan_file.schema import FORMAT, VERSION
from dnnmig_env.simulation.timelines.timeline import Timeline
from dnnmig_env.simulation.timelines.upload_interval import Transfer, UploadInterval

DEVICE = "device"
"""How a user's own device is called where the name of a node is due."""

Plain = dict[str, Any]


def plan_text(timeline: Timeline, policy: str = "") -> str:
    """Return the file of the plan that a timeline carries out.

    Args:
        timeline: What happened when the plan was carried out, as `simulate` returned it.
        policy: Who decided.
    """
    scenario = timeline.scenario
    moves = [
        _move(scenario, upload, interval)
        for upload, interval in zip(timeline.plan.uploads, timeline.uploads, strict=True)
    ]
    head = {
        "format": FORMAT,
        "version": VERSION,
        "policy": policy,
        "scenario": identity_of(scenario),
        "mean_delay_s": timeline.mean_delay_s,
    }
    lines = [f"{_json(key)}: {_json(value)}" for key, value in head.items()]
    lines.append(_block("moves", "[", [_json(move) for move in moves], "]"))
    placed = [f"{_json(user)}: {_json(servers)}" for user, servers in _placement(timeline).items()]
    lines.append(_block("placement", "{", placed, "}"))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _move(scenario: Scenario, upload: Upload, interval: UploadInterval) -> Plain:
    user = scenario.users[upload.user]
    move: Plain = {"user": user.name, "server": scenario.servers[upload.server - 1].name}
    move["layers"] = [_layer(scenario, user.graph.layers[each.layer].name, each) for each in interval.transfers]
    if upload.not_before_s:
        move["not_before_s"] = float(upload.not_before_s)
    if interval.end_s < math.inf:
        move["usable_s"] = interval.end_s
    return move


def _layer(scenario: Scenario, name: str, transfer: Transfer) -> Plain:
    if transfer.source < 0:
        return {"layer": name}
    source = scenario.servers[transfer.source - 1].name if transfer.source else DEVICE
    layer: Plain = {"layer": name, "source": source, "start_s": transfer.start_s, "stop_s": transfer.stop_s}
    return layer if transfer.arrives else layer | {"arrives": False}


def _placement(timeline: Timeline) -> dict[str, dict[str, list[str]]]:
    """Return for each user the layers that its queries run on each server at last, or did until it left."""
    placement: dict[str, dict[str, list[str]]] = {}
    for user_index, user in enumerate(timeline.scenario.users):
        nodes = timeline.event_assignment[-1, user_index, : len(user.graph)]
        placement[user.name] = {
            server.name: [layer.name for layer, node in zip(user.graph.layers, nodes, strict=True) if node == number]
            for number, server in enumerate(timeline.scenario.servers, start=1)
            if number in nodes
        }
    return placement


def _block(key: str, opens: str, rows: list[str], closes: str) -> str:
    return f"{_json(key)}: {opens}\n" + ",\n".join(rows) + f"\n{closes}" if rows else f"{_json(key)}: {opens}{closes}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
