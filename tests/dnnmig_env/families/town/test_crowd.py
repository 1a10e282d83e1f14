"""The people of a batch: when somebody enters a cell, and batches put together."""

from __future__ import annotations

from typing import Any

import numpy as np

from dnnmig_env.families.city import City
from dnnmig_env.families.town.crowd import Crowd, draw_crowd, joined
from dnnmig_env.families.town.ground import Schedule

SCHEDULE = Schedule(2.0, 30, 60.0, 6, 3)


def drawn(seed: int, count: int) -> Crowd:
    return draw_crowd(np.random.default_rng(seed), City().ground(), count, SCHEDULE, 5, 9)


def test_who_enters_a_cell_by_hand() -> None:
    some: Any = {"scenario": [0, 0, 0, 0, 0, 1, 1], "user": [0, 0, 0, 1, 1, 1, 1], "cell": [2, 2, 3, 3, 3, 3, 3]}
    crowd = drawn(0, 1)._replace(**{name: np.array(values) for name, values in some.items()})
    assert crowd.enters_cell().astype(int).tolist() == [1, 0, 1, 1, 0, 1, 0]


def test_batches_are_put_together_one_after_another() -> None:
    parts = [drawn(0, 2), drawn(1, 3)]
    both = joined(parts)
    assert both.area_m == City.area_m and both.network.shape == (5, 6)
    np.testing.assert_array_equal(both.network, np.concatenate([part.network for part in parts]))
    for row, (part, own) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]):
        for name in ("user", "slot", "cell", "distance_m"):
            expected = getattr(parts[part], name)[parts[part].scenario == own]
            np.testing.assert_array_equal(getattr(both, name)[both.scenario == row], expected)
    assert both.edges.shape == (5, 10, 2) and not np.any(both.edges[:, 8:])
    assert both.wires_bytes_per_s.shape == (5, 10, 10) and not np.any(both.wires_bytes_per_s[:, 8:])
