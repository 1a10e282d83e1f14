"""What the command line says of the measurement of EosDNN's claims."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evaluate.parallel import Workers


@dataclass(frozen=True)
class EosdnnConfig(Workers):
    """Measure what EosDNN claims: how good are PSO-GA's placements, and how fast are queries while LMU uploads?

    The migration delay of PSO-GA's placements is compared with that of other searches (at equal numbers of
    evaluations), of rules and, where scenarios are small, with the optimum. LMU's upload order is compared with IONN's
    on the same placement. Tables are printed. The folder --out receives eosdnn.json, table.md and eosdnn.png.
    If the command is stopped, the same command goes on where it was.
    """

    out: Path
    """Folder to which the results are written."""
    scenarios: int = 30
    """Number of scenarios to draw for each table."""
    seed: int = 1
    """Seed of the scenarios and of the searches."""
    iterations: int = 1000
    """Number of iterations of each search, each with 100 particles."""
    overwrite: bool = False
    """Write into a folder that is not empty. Files of an earlier run are replaced, and one of other settings, if it was
    stopped, is given up."""

    def check(self) -> None:
        """Check the numbers, and who does the work.

        Raises:
            ValueError: If a number is too small, or there are no such workers.
        """
        self.check_workers()
        for name, least in (("scenarios", 1), ("seed", 0), ("iterations", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} is {getattr(self, name)}; it must be at least {least}.")
