"""Truth: the model's delays against those of a simulation in which every query is its own.

Begin with `evaluate.truth.truth`, the command `python -m evaluate truth`. `simulator` is the simulation, `comparison`
plays one scenario in both, and `verdict` says whether the model is as near as its description demands.
"""
