"""Profiling: measures how long every operator of a network takes on this machine."""
