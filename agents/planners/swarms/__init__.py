"""Swarms: placements by particle swarms and genetic search."""
