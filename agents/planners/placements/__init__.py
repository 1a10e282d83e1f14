"""Placements: planners of the first half, where layers go."""
