"""What the command line says of the speed benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Part = Literal["env", "training", "kernel", "pso-ga", "pymoo", "local-search"]


@dataclass(frozen=True)
class SpeedConfig:
    """Measure how fast environments, training, the kernel and searches are on this machine.

    Tables are printed, and a JSON file is written. Every figure is the median of several repeats; compilation does not
    count. The machine should do nothing else meanwhile.
    """

    out: Path
    """JSON file to write."""
    parts: str = "env,training,kernel,pso-ga,pymoo,local-search"
    """Names of what is measured, with commas between them."""
    seconds: float = 2.0
    """Seconds that each measurement of a rate takes, all repeats together."""
    repeats: int = 5
    """Number of repeats of each measurement."""
    threads: int = 2
    """Number of threads of the batched environment and the kernel. At most the cores of the machine are used."""

    @property
    def chosen_parts(self) -> tuple[Part, ...]:
        """The parts to measure.

        Raises:
            ValueError: If a part is not known.
        """
        names = tuple(name.strip() for name in self.parts.split(","))
        for name in names:
            if name not in get_args(Part):
                raise ValueError(f"--parts has {name!r}; choose from {', '.join(get_args(Part))}.")
        return tuple(part for part in get_args(Part) if part in names)
