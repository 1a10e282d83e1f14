"""Studies: agents that differ in one thing are trained, and compared in the same scenarios.

Begin with `evaluate.studies.variants`, which says what each study trains and compares, then read
`evaluate.studies.study`, the command. `evaluate.studies.comparison` does the work; `evaluate.studies.generalisation` is
the one study that trains nothing.
"""
