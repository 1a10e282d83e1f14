"""Batches of scenarios: packed for compiled code all at once, built as objects only on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits, PackedScenarios, pack


@dataclass(frozen=True, eq=False)
class ScenarioBatch:
    """Scenarios packed as arrays, and each of them as an object on request.

    Attributes:
        packed: The scenarios' arrays, one row each, as `pack` returns them.
        build: Function that builds the `Scenario` of a row.
    """

    packed: PackedScenarios
    build: Callable[[int], Scenario]

    def __len__(self) -> int:
        return len(self.packed.num_users)

    def scenario(self, row: int) -> Scenario:
        """Return one scenario.

        Raises:
            ValueError: If the batch has no such row.
        """
        if not 0 <= row < len(self):
            raise ValueError(f"row is {row}; this batch has the rows 0 to {len(self) - 1}.")
        return self.build(row)


def as_batch(scenarios: Sequence[Scenario], limits: Limits | None = None) -> ScenarioBatch:
    """Return given scenarios as a batch, padded to `limits` (by default the smallest that hold them all).

    Raises:
        ValueError: If there are none, or one exceeds the limits.
    """
    if not scenarios:
        raise ValueError("scenarios is empty; give at least one scenario.")
    return ScenarioBatch(pack(scenarios, limits), tuple(scenarios).__getitem__)
