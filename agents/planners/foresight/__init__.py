"""Planning where weights move: what a planner of uploads sees of such a scenario, and what is sent ahead of users.

`agents.planners.foresight.uploads_view` shows a moving scenario as one in which every layer is uploaded at most once,
so that every planner can plan in it. `agents.planners.foresight.next_cell` predicts to which cell a user goes next, and
`agents.planners.foresight.ahead` plans what to send there in advance; of this, `agents.planners.foresight.known_future`
keeps what pays off, for the bound that knows the future.
"""
