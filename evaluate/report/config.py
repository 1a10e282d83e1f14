"""What can be asked of `python -m evaluate report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from evaluate.compare.config import REPORT


@dataclass(frozen=True)
class ReportConfig:
    """Make one page of the results of evaluations: tables, plots that can be hovered and zoomed, and uploads over time.

    The page is one HTML file that opens without a network. It shows the best and the worst scenario of every policy,
    and how busy devices, servers and links are, if the evaluation was made with --save-plans or --report.
    """

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Folders that python -m evaluate has written. Several make one page, one after the other."""
    out: Path | None = None
    """File to write. The default is report.html in the folder of the results, if there is one folder."""

    @property
    def file(self) -> Path:
        """The file to write, with the default filled in.

        Raises:
            ValueError: If no folder is named, or several and no file.
        """
        if not self.folders:
            raise ValueError("report names no folder; give at least one that python -m evaluate has written.")
        if self.out is not None:
            return self.out
        if len(self.folders) > 1:
            raise ValueError(f"report names {len(self.folders)} folders; say by --out which file is to be written.")
        return self.folders[0] / REPORT
