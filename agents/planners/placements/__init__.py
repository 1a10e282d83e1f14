"""Placements: the first half of a planner, which says where each layer is to run.

Begin with `agents.planners.placements.best_server`, the simplest one that compares, and
`agents.planners.placements.one_user`, by which rules for one user serve several. The published rules have one file
each: `agents.planners.placements.neurosurgeon`, `agents.planners.placements.dads` and
`agents.planners.placements.heft`.
"""
