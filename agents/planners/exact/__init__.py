"""Exact search: the best plan of a small scenario, with a proof, and lower bounds.

Begin with `agents.planners.exact.exact`, the planner. It searches with `agents.planners.exact.search`, which the bound
in `agents.planners.exact.bound` keeps short. `agents.planners.exact.placement` finds the best placement alone, and
`agents.planners.exact.lower_bound` bounds the delay of one user in scenarios that are too large for exact search.
"""
