"""The figures of policies as the rows of a table."""

from __future__ import annotations

import math
from collections.abc import Mapping

from evaluate.compare.record import Rollout
from evaluate.compare.statistics import PolicyFigures

HEADINGS = ("policy", "delay [s]", "95 %", "/ device", "gap", "won", "plan [s]")


MOVE_HEADINGS = ("policy", "cold starts", "queries/s", "radio [GB]", "wire [GB]", "in vain", "device")


def move_rows(rollouts: Mapping[str, Rollout]) -> list[tuple[str, ...]]:
    """Return one row of text per policy about the weights that moved, the fewest cold starts first.

    Cold starts are a share of all handovers, queries per second are those of a user just after a handover
    (`AFTER_HANDOVER_S`), and what was sent in vain is a share of all bytes sent.
    """
    rows = []
    for name, each in rollouts.items():
        radio_bytes, wire_bytes = float(each.radio_bytes.mean()), float(each.wire_bytes.mean())
        cold = share(float(each.cold_starts.sum()), float(each.handovers.sum()))
        vain = share(float(each.vain_bytes.mean()), radio_bytes + wire_bytes)
        per_s = share(float(each.handover_queries.sum()), float(each.handover_s.sum()))
        sent = [f"{size / 1e9:.2f}" for size in (radio_bytes, wire_bytes)]
        figures = ("-" if math.isnan(per_s) else f"{per_s:.2f}", *sent, _percent(vain))
        rows.append((cold, (name, _percent(cold), *figures, f"{each.on_device_share.mean():.1%}")))
    return [row for _, row in sorted(rows, key=lambda item: (math.isnan(item[0]), item[0]))]


def illegal_notes(rollouts: Mapping[str, Rollout]) -> list[str]:
    """Return a sentence for each policy of which illegal actions have ended episodes."""
    ended = {name: int(rollout.illegal.sum()) for name, rollout in rollouts.items()}
    return [f"{name}: {count} episodes ended by an illegal action." for name, count in ended.items() if count]


def share(part: float, whole: float) -> float:
    """Return a part as a share of the whole; NaN if there is none."""
    return part / whole if whole > 0 else math.nan


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1%}"


def summary_rows(figures: Mapping[str, PolicyFigures]) -> list[tuple[str, ...]]:
    """Return one row of text per policy, the fastest queries first; a single scenario has no interval to show."""
    ranked = sorted(figures.items(), key=lambda item: item[1].mean_delay_s)
    return [
        (
            name,
            _digits(each.mean_delay_s),
            _interval(each.ci95),
            f"{each.relative_to_device_only:.3f}",
            f"{each.gap_to_best_known:+.1%}",
            f"{each.wins:.0%}",
            _digits(each.planning_s),
        )
        for name, each in ranked
    ]


def _interval(bounds: tuple[float, float]) -> str:
    low, high = bounds
    return "" if low == high else f"{_digits(low)} - {_digits(high)}"


def _digits(value: float) -> str:
    """Return a number with three significant digits, never in powers of ten."""
    if value <= 0.0:
        return f"{value:.3g}"
    decimals = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:.{decimals}f}"
