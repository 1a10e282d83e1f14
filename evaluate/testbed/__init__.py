"""The testbed: carries out plans for real on this machine, and compares what was measured with what was predicted.

Begin with `testbed`, the command. `given` reads the scenario and measures layers, `machine_check` says what this
machine can take, `processes` runs a plan, `seconds_taken` and `comparison` say what came of it, and `tables` and
`plots` show it.
"""
