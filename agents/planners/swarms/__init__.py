"""Swarms: placements that particle swarms and genetic search find.

Begin with `agents.planners.swarms.particles`, which says what is searched and how good it is; then
`agents.planners.swarms.pso_ga`, the published method, with its baselines `agents.planners.swarms.genetic` and
`agents.planners.swarms.pso`.
"""
