"""Profiling: measures how long every layer of a torch module takes on this machine.

Begin with `measure`, which says what is measured and how. `stopwatch` times the operators of forward passes with one of
the `clocks`; `real_operators` finds the operator that executes each layer of the traced graph.
"""
