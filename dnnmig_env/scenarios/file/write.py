"""Describes a scenario as files hold it: mappings, lists, texts and numbers from which it can be read back exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dnnmig_env.files.strict_model import Form
from dnnmig_env.networks import zoo
from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.file.schema import DeviceForm, LayerForm, ServerForm, UserForm
from dnnmig_env.scenarios.node import Node
from dnnmig_env.scenarios.scenario import Links, Mobility, Scenario, User
from dnnmig_env.scenarios.slots import uniform_starts

Plain = dict[str, Any]


def description_of(scenario: Scenario, *, in_full: bool = False) -> Plain:
    """Return a scenario as plain data, ready for YAML or JSON; values that are the default are left out.

    Args:
        scenario: The scenario.
        in_full: Write all layers of networks of the zoo, too, so that the data do not depend on how the zoo prepares
            them.
    """
    servers = [server.name for server in scenario.servers]
    links = [
        {server: _link(scenario.links, user_index, server_index) for server_index, server in enumerate(servers)}
        for user_index in range(len(scenario.users))
    ]
    first = links[0][servers[0]]
    is_common = all(link == first for row in links for link in row.values())
    form: Plain = {"family": scenario.family, "uplink": scenario.uplink, "horizon_s": float(scenario.horizon_s)}
    form |= _slots(scenario)
    form["servers"] = [_node(server, ServerForm) for server in scenario.servers]
    backhaul = {
        "bytes_per_s": _shortest(scenario.links.between_bytes_per_s),
        "latency_s": _shortest(scenario.links.between_latency_s),
    }
    form |= {"backhaul": backhaul} | ({"default_link": first} if is_common else {})
    if scenario.moves:
        form["moves"] = True
    form["users"] = [
        _user(user, servers, in_full) | home | ({} if is_common else {"links": row})
        for user, home, row in zip(scenario.users, _homes(scenario, servers), links, strict=True)
    ]
    if scenario.mobility is not None:
        form["mobility"] = _mobility(scenario.mobility, scenario)
    return form


def _slots(scenario: Scenario) -> Plain:
    starts = np.asarray(scenario.slot_starts_s)
    if len(starts) == 1:
        return {}
    slot_s = float(starts[1])
    reaches_horizon = starts[-1] + 2 * slot_s > scenario.horizon_s  # if not, uniform slots are more, perhaps very many
    if reaches_horizon and np.array_equal(starts, uniform_starts(slot_s, scenario.horizon_s)):
        return {"slot_s": slot_s}
    return {"slot_starts_s": starts.tolist()}


def _node(node: Node, form: type[DeviceForm]) -> Plain:
    return _without_defaults({name: getattr(node, name) for name in form.model_fields} | {"tier": str(node.tier)}, form)


def _user(user: User, servers: list[str], in_full: bool) -> Plain:
    uploaded = {
        layer.name: servers[server - 1]
        for layer, server in zip(user.graph.layers, np.asarray(user.uploaded).tolist(), strict=True)
        if server
    }
    form = {
        "name": user.name,
        **_network(user.graph, in_full),
        "device": _node(user.device, DeviceForm),
        "query_rate_hz": _shortest(user.query_rate_hz),
        "profile_s": None if user.profile_s is None else np.asarray(user.profile_s).tolist(),
        "uploaded": uploaded,
        "copies": {} if user.copies is None else _copies(user, servers),
    }
    return _without_defaults(form, UserForm)


def _copies(user: User, servers: list[str]) -> Plain:
    return {
        layer.name: [servers[server] for server in np.flatnonzero(row)]
        for layer, row in zip(user.graph.layers, np.asarray(user.copies), strict=True)
        if row.any()
    }


def _homes(scenario: Scenario, servers: list[str]) -> list[Plain]:
    """Return for each user in whose cell it is, in one name if that never changes; nothing if there is one cell."""
    numbers = np.asarray(scenario.links.home)
    if not numbers.any():
        return [{} for _ in scenario.users]
    names = [[servers[number - 1] for number in column] for column in numbers.T.tolist()]
    return [{"home": column[0] if len(set(column)) == 1 else column} for column in names]


def _network(graph: LayerGraph, in_full: bool) -> Plain:
    """Name the network if the zoo prepares the very same graph, else list its layers."""
    if graph.name in zoo.SOURCES and not in_full:
        if zoo.load_prepared(graph.name) == graph:
            return {"network": graph.name}
        if zoo.load_prepared(graph.name, len(graph)) == graph:
            return {"network": graph.name, "max_layers": len(graph)}
    form: Plain = {"name": graph.name, "input_bytes": graph.input_bytes}
    form |= {"origin": graph.origin} if graph.origin else {}
    form |= {key: list(value) for key, value in (("inputs", graph.inputs), ("outputs", graph.outputs)) if value}
    return {"network": form | {"layers": [_layer(layer) for layer in graph.layers]}}


def _layer(layer: Layer) -> Plain:
    flops = int(layer.flops) if float(layer.flops).is_integer() else layer.flops
    form = {name: getattr(layer, name) for name in LayerForm.model_fields}
    lists = {"predecessors": list(layer.predecessors), "shares": list(layer.shares)}
    return _without_defaults(form | {"flops": flops} | lists, LayerForm)


def _link(links: Links, user: int, server: int) -> Plain:
    values = {
        "up_bytes_per_s": links.up_bytes_per_s,
        "down_bytes_per_s": links.down_bytes_per_s,
        "latency_s": links.up_latency_s,
        "down_latency_s": links.down_latency_s,
    }
    link = {key: _shortest(np.asarray(value)[:, user, server]) for key, value in values.items()}
    for back, there in (("down_bytes_per_s", "up_bytes_per_s"), ("down_latency_s", "latency_s")):
        if link[back] == link[there]:
            del link[back]
    return link


def _mobility(mobility: Mobility, scenario: Scenario) -> Plain:
    positions, velocities = np.asarray(mobility.user_positions_m), np.asarray(mobility.user_velocities_m_per_s)
    places = np.asarray(mobility.server_positions_m)
    return {
        "area_m": float(mobility.area_m),
        "servers": {server.name: places[server_index].tolist() for server_index, server in enumerate(scenario.servers)},
        "users": {
            user.name: {
                "positions_m": positions[:, user_index].tolist(),
                "velocities_m_per_s": velocities[:, user_index].tolist(),
            }
            for user_index, user in enumerate(scenario.users)
        },
    }


def _shortest(values: ArrayLike) -> Any:
    """Return one number if all values are equal, else the (nested) list."""
    array = np.asarray(values, dtype=np.float64)
    return float(array.flat[0]) if np.all(array == array.flat[0]) else array.tolist()


def _without_defaults(values: Plain, form: type[Form]) -> Plain:
    fields = form.model_fields
    return {
        key: value
        for key, value in values.items()
        if fields[key].is_required() or value != fields[key].get_default(call_default_factory=True)
    }
