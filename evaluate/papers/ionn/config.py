"""What the command line says of the replay of published layer profiles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from evaluate.parallel import Workers


@dataclass(frozen=True)
class PaperConfig(Workers):
    """Replay published layer profiles: how fast do queries get while a network is uploaded by IONN, efficiency or LMU?

    There is one device and one server, and queries run back to back. All figures are over the time that uploading the
    whole network takes. Tables are printed. The folder --out receives paper.json (a row per network, rate and method),
    table.md and a picture per network. If the replay is stopped, the same command goes on where it was.
    """

    profiles: Path
    """Folder with a CSV file per network. A file has a row per block, with the columns block, last_layer, n_layers,
    in_bytes, out_bytes, weight_bytes, client_ms_odroid and server_ms_gpu. If the last column is empty in all rows, 0.05
    ms per layer are assumed."""
    out: Path
    """Folder to which the results are written."""
    mbps: tuple[float, ...] = (10.0, 20.0, 40.0, 80.0, 160.0)
    """Rates in Mbps, the same up and down. 1 Mbps is 1024 * 1024 / 8000 bytes per ms, as in the published code."""
    overwrite: bool = False
    """Write into a folder that is not empty. Files of an earlier replay are replaced, and one of other settings, if it
    was stopped, is given up."""

    @property
    def rates_mbps(self) -> tuple[float, ...]:
        """The rates in Mbps, in the order given.

        Raises:
            ValueError: If there is none, one is given twice, or one is not positive and finite.
        """
        for index, rate in enumerate(self.mbps):
            if not 0 < rate < math.inf:
                raise ValueError(f"--mbps has {rate:g}; every rate must be positive and finite.")
            if rate in self.mbps[:index]:
                raise ValueError(f"--mbps has {rate:g} twice; name every rate once.")
        if not self.mbps:
            raise ValueError("--mbps is empty; give at least one rate.")
        return self.mbps
