"""What can be asked of `python -m evaluate testbed`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TestbedConfig:
    """Carry out plans for real on this machine: one process per device and server, real layers, shaped sockets.

    A table is printed that compares the measured delay of queries with the prediction, and with the prediction from the
    seconds that layers really took, which tells an error of the model from noise of the machine. The folder --out
    receives testbed.json, queries.csv (a row per query), uploads.csv (a row per partition), table.md, delays.png, the
    scenario with the seconds it was run with, the measured profiles and config.json. A run takes the scenario's horizon
    and some seconds more for each policy. Nothing leaves the machine, and no rights beyond those of a user are needed.
    """

    policies: str
    """Names of the planners whose plans are carried out, with commas between them."""
    scenario_file: Path
    """Scenario file (YAML or JSON), such as examples/testbed.yaml. Where it has `profile: this-machine`, layers are
    measured before the run."""
    out: Path
    """Folder to which the results are written."""
    seed: int = 1
    """Seed of whatever is random in the planners."""
    overwrite: bool = False
    """Write into a folder that is not empty. Files of an earlier run are replaced."""
