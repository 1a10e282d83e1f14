"""AlexNet as the authors of IONN measured it: an ODROID XU4 board and a GPU server, 80 Mbps (see its README).

The measured profiles are not part of the project. `BY_HAND` is a profile in the same form, small enough to be replayed
with pencil and paper, by which the replay is held where they are missing. At 80 Mbps its tensors take 50 ms each, and
`a`, `b` and `c` take 1, 2 and 3 s to upload, 6 s in all. A query takes 500 + 400 + 520 = 1420 ms on the client,

    50 + 20 + 50 + 400 + 520 = 1040 ms with `a`, 50 + 40 + 50 + 520 = 660 ms with `a` and `b`, 160 ms with everything.

`a` saves 380 ms and pays for itself if a second of upload costs at most K = 0.38 s; then `b` saves 380 ms, at most
0.19 s, and `c` 500 ms, at most 0.167 s. With K = 1, 1/2, 1/4, 1/8 comes `a`, and then `b` and `c` together. With K
falling by 0.8 each comes by itself (0.8^5 = 0.33, 0.8^8 = 0.168, 0.8^9 = 0.13), as by efficiency. Queries run back to
back for 6 s, and the one under way at the end counts:

    all at once: 6 / 1.42 = 4.2, that is 5
    `a`, then `b` and `c`: one until 1.42, then 4.58 / 1.04 = 4.4, that is 1 + 5
    each by itself: one until 1.42, two until 3.5 as 1.58 / 1.04 = 1.5, then 2.5 / 0.66 = 3.8, that is 1 + 2 + 4
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User

FILE = Path(__file__).parents[4] / "shared" / "data" / "measured_profiles" / "alexnet.csv"

BY_HAND = """\
block,last_layer,n_layers,in_bytes,out_bytes,weight_bytes,client_ms_odroid,server_ms_gpu
0,a,1,524288,524288,10485760,500,20
1,b,2,524288,524288,20971520,400,20
2,c,3,524288,524288,31457280,520,20
"""

needs_profile = pytest.mark.skipif(not FILE.exists(), reason="the measured profiles are not part of the project")


def measured_alexnet(mbps: float = 80.0) -> Scenario:
    """Return one user with the measured AlexNet and one server; in the authors' code 1 Mbps is 2**20 / 8 bytes/s."""
    return scenario_of(FILE.read_text(), mbps)


def scenario_of(profile: str, mbps: float = 80.0) -> Scenario:
    """Return one user with the network of a profile, given as the text of its file, and one server."""
    rows = list(csv.DictReader(profile.splitlines()))
    layers = tuple(
        Layer(row["last_layer"], 0.0, int(row["weight_bytes"]), int(row["out_bytes"]), (index - 1,))
        for index, row in enumerate(rows)
    )
    profile_s = np.array([[float(row["client_ms_odroid"]), float(row["server_ms_gpu"])] for row in rows]) / 1e3
    graph = LayerGraph("measured", int(rows[0]["in_bytes"]), layers)
    user = User("phone", graph, Node("odroid", Tier.DEVICE, 1e9, 1e9), 1.0, profile_s)
    rate = mbps * 2**20 / 8
    horizon_s = float(graph.weight_bytes.sum()) / rate
    # In the published figures uploads and queries do not slow each other.
    return Scenario((user,), (Node("gpu", Tier.EDGE, 1e12, 1e12),), Links(rate), horizon_s, uplink="independent")
