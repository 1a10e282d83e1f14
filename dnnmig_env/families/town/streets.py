"""Lays out the streets of a town: two families of parallel lines that cross, with gaps, all of them connected."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.families.draw.ranges import Range, uniform

MARGIN = 0.04
"""Distance of the outermost streets from the border of the area, as a share of its side."""


class Streets(NamedTuple):
    """C crossings, and M segments of street between neighbouring ones."""

    crossings_m: Floats  # (C, 2)
    ends: Ints  # (M, 2): the crossings at a segment's ends
    limit_m_per_s: Floats  # (M,): speed limit

    @property
    def length_m(self) -> Floats:
        """Length of each segment, shape (M,)."""
        vectors = self.crossings_m[self.ends[:, 1]] - self.crossings_m[self.ends[:, 0]]
        lengths: Floats = np.hypot(vectors[:, 0], vectors[:, 1])
        return lengths

    @property
    def middles_m(self) -> Floats:
        """Middle of each segment, shape (M, 2)."""
        middles: Floats = self.crossings_m[self.ends].mean(axis=1)
        return middles

    @property
    def arms(self) -> Ints:
        """Number of segments that meet at each crossing, shape (C,)."""
        return np.bincount(self.ends.ravel(), minlength=len(self.crossings_m))


def draw_streets(
    rng: np.random.Generator, area_m: float, block_m: Range, gap_share: float, main_share: float, limit_m_per_s: Range
) -> Streets:
    """Draw streets.

    Args:
        rng: Source of randomness.
        area_m: Side of the square that they fill up to a margin.
        block_m: Range of the distance between parallel streets, drawn uniformly; then all distances of one direction
            are scaled alike, so that a whole number of them fills the square.
        gap_share: Share of the segments that are missing. Only segments of side streets are, and only as many as leave
            all crossings connected and with two arms or more.
        main_share: Share of the streets that are main streets.
        limit_m_per_s: Speed limit of side streets and of main streets.
    """
    lines = [_lines_m(rng, area_m, block_m) for _ in range(2)]
    columns, rows = map(len, lines)
    crossings_m = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 2)
    number = np.arange(columns * rows).reshape(columns, rows)
    along_x = np.stack([number[:-1].ravel(), number[1:].ravel()], axis=1)
    along_y = np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()], axis=1)
    # A segment along x lies on the street of its row, one along y on the street of its column.
    is_main = [_some(rng, size, main_share) for size in (rows, columns)]
    main = np.concatenate([is_main[0][along_x[:, 0] % rows], is_main[1][along_y[:, 0] // rows]])
    ends = np.concatenate([along_x, along_y])
    kept = _without_gaps(rng, ends, ~main, round(gap_share * len(ends)), len(crossings_m))
    return Streets(crossings_m, ends[kept], np.where(main, limit_m_per_s[1], limit_m_per_s[0])[kept])


def connected(ends: Ints, num_crossings: int) -> bool:
    """Return whether segments between crossings connect all of them."""
    neighbours: list[list[int]] = [[] for _ in range(num_crossings)]
    for one, other in ends.tolist():
        neighbours[one].append(other)
        neighbours[other].append(one)
    reached, pending = {0}, [0]
    while pending:
        found = [node for node in neighbours[pending.pop()] if node not in reached]
        reached.update(found)
        pending += found
    return len(reached) == num_crossings


def _lines_m(rng: np.random.Generator, area_m: float, block_m: Range) -> Floats:
    width_m = (1 - 2 * MARGIN) * area_m
    blocks = uniform(rng, block_m, (max(1, round(2 * width_m / sum(block_m))),))
    ends: Floats = np.append(0.0, np.cumsum(blocks))
    lines_m: Floats = MARGIN * area_m + width_m * ends / ends[-1]
    return lines_m


def _some(rng: np.random.Generator, size: int, share: float) -> Bools:
    """Return which of some things are chosen: at random, as many as the share says."""
    chosen: Bools = rng.permutation(size) < round(share * size)
    return chosen


def _without_gaps(rng: np.random.Generator, ends: Ints, may_go: Bools, count: int, num_crossings: int) -> Bools:
    """Return which segments stay when up to `count` of those that may go are taken away."""
    kept = np.ones(len(ends), np.bool_)
    arms = np.bincount(ends.ravel(), minlength=num_crossings)
    for segment in rng.permutation(len(ends)):
        if count == 0:
            break
        if not may_go[segment] or arms[ends[segment]].min() <= 2:
            continue
        kept[segment] = False
        if connected(ends[kept], num_crossings):
            arms[ends[segment]] -= 1
            count -= 1
        else:
            kept[segment] = True
    return kept
