"""AlexNet as the authors of IONN measured it: an ODROID XU4 board and a GPU server, 80 Mbps (see its README)."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User

FILE = Path(__file__).parents[4] / "shared" / "data" / "measured_profiles" / "alexnet.csv"

needs_profile = pytest.mark.skipif(not FILE.exists(), reason="the measured profiles are not part of the project")


def measured_alexnet(mbps: float = 80.0) -> Scenario:
    """Return one user with the measured AlexNet and one server; in the authors' code 1 Mbps is 2**20 / 8 bytes/s."""
    with FILE.open() as file:
        rows = list(csv.DictReader(file))
    layers = tuple(
        Layer(row["last_layer"], 0.0, int(row["weight_bytes"]), int(row["out_bytes"]), (index - 1,))
        for index, row in enumerate(rows)
    )
    profile_s = np.array([[float(row["client_ms_odroid"]), float(row["server_ms_gpu"])] for row in rows]) / 1e3
    graph = LayerGraph("alexnet", int(rows[0]["in_bytes"]), layers)
    user = User("phone", graph, Node("odroid", Tier.DEVICE, 1e9, 1e9), 1.0, profile_s)
    rate = mbps * 2**20 / 8
    return Scenario((user,), (Node("gpu", Tier.EDGE, 1e12, 1e12),), Links(rate), float(graph.weight_bytes.sum()) / rate)
