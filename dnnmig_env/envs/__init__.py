"""Environments: the problem as a sequence of decisions, in Gymnasium's interface.

Begin with `env`, whose `MigrationEnv` documents actions, observations, rewards and the end of episodes; `vector_env`
has many such episodes at once. Both stand on `batch`, which holds the episodes, and on `stepping`, which takes
decisions in compiled code. `actions` numbers the actions, `facts` writes the plain observation (declared by
`features`), `reward` pays, `observer` lets others write observations and rewards, `row_view` answers questions about an
episode, and `registration` registers the Gymnasium ids.
"""
