"""Orders: the second half of a planner, which says in which partitions and in which order a placement is uploaded.

Begin with `agents.planners.orders.front_to_back`, the simplest one. `agents.planners.orders.efficiency` and
`agents.planners.orders.lmu` are published methods, `agents.planners.orders.equal_share_lmu` is the baseline of the
latter.
"""
