"""Smaller scenarios for EosDNN's command, which takes seconds for each of its own."""

from __future__ import annotations

from typing import Any

import pytest

from evaluate.papers.eosdnn import placements, uploads


def shrink_eosdnn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the scenarios of all of the command's studies have few layers."""
    for sizes, max_layers in ((placements.SMALL, 3), (placements.FULL, 6)):
        for family, options in sizes.items():
            monkeypatch.setitem(sizes, family, {**options, "max_layers": max_layers})
    for name, (family, options) in uploads.SETTINGS.items():
        fewer: tuple[str, dict[str, Any]] = (family, {**options, "max_layers": 8})
        monkeypatch.setitem(uploads.SETTINGS, name, fewer)
