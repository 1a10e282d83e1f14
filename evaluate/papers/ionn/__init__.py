"""IONN: replays published layer profiles.

Begin with `evaluate.papers.ionn.ionn`, the command; `evaluate.papers.ionn.measured_profiles` reads the profiles, and
`evaluate.papers.ionn.replay` replays them.
"""
