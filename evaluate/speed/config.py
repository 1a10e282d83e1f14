"""What the command line says of the speed benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Part = Literal["env", "training", "kernel", "pso-ga", "pymoo", "local-search"]


@dataclass(frozen=True)
class SpeedConfig:
    """Measure how fast environments, training, the kernel and searches are on this machine; tables and a JSON file.

    Every figure is the median of repeats; compilation is not counted. Leave the machine alone meanwhile.
    """

    out: Path
    """JSON file to write."""
    parts: str = "env,training,kernel,pso-ga,pymoo,local-search"
    """What to measure, with commas between."""
    seconds: float = 2.0
    """Length of each measurement of a rate, repeats included."""
    repeats: int = 5
    """Repeats of each measurement."""
    threads: int = 2
    """Threads of the batched environment and the kernel; at most the machine's cores are used."""

    @property
    def chosen_parts(self) -> tuple[Part, ...]:
        """The parts to measure.

        Raises:
            ValueError: If one is not known.
        """
        names = tuple(name.strip() for name in self.parts.split(","))
        for name in names:
            if name not in get_args(Part):
                raise ValueError(f"--parts has {name!r}; choose from {', '.join(get_args(Part))}.")
        return tuple(part for part in get_args(Part) if part in names)
