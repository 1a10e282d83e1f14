"""What can be asked of the command `workload`; its command line and help come from this dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class WorkloadConfig:
    """Say of each family whether its scenarios are worth deciding, and how heavily devices, servers and links are used.

    A family is worth deciding if no constant rule (nothing, or all to one server front to back) is near the best known
    plan in many scenarios. Loads are those under the plan of joint efficiency, over the whole horizon. A scenario is
    saturated if the queries alone need a server or a direction of the radio for more than 90 % of it. A table is
    printed. The folder --out receives workload.json and table.md.
    """

    out: Path
    """Folder to which the results are written."""
    families: str = "single,edge-cloud,multi-user,mobile"
    """Names of the families, with commas between them."""
    scenarios: int = 112
    """Number of scenarios of each family."""
    seed: int = 11
    """Seed of the scenarios and of the search for better plans."""
    near: float = 1.02
    """A rule is near the best known plan if its mean delay is at most so many times the plan's."""
    overwrite: bool = False
    """Replace earlier results in the folder."""

    @property
    def names(self) -> tuple[str, ...]:
        """The families' names, in the order given.

        Raises:
            ValueError: If a name is given twice, or a number is out of its range.
        """
        for option, value, least in (("scenarios", self.scenarios, 1), ("seed", self.seed, 0), ("near", self.near, 1)):
            if not value >= least:
                raise ValueError(f"--{option} is {value}; it must be at least {least}.")
        names = tuple(name.strip() for name in self.families.split(","))
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"--families has {name!r} twice; name every family once.")
        return names
