"""Families in which all users share one channel, or can."""

from __future__ import annotations

from typing import Any


def one_channel(family: str) -> dict[str, Any]:
    """Options of a family with which all users share one channel, and weights stay where they are."""
    return {"moves": False} if family == "mobile" else {}
