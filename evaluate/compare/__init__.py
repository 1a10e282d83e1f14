"""Compare: plays policies in the same scenarios and says how long queries take.

Begin with `evaluate.compare.compare`, which does the whole comparison. `evaluate.compare.rollout` plays the policies,
`evaluate.compare.statistics` sums their delays up, and `evaluate.compare.results` says what the files contain.
"""
