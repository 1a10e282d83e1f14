"""Local search: simulated annealing of placement and upload order together, the practical best known.

Begin with `agents.planners.local_search.local_search`, the planner. `agents.planners.local_search.annealing` is the
search, `agents.planners.local_search.moves` lists the changes that it tries, and `agents.planners.local_search.replay`
evaluates a changed plan; `agents.planners.local_search.chains` says in which arrays plans are kept.
"""
