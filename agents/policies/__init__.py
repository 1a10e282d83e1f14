"""Policies: everything that acts in an environment, found by its name.

Begin with `agents.policies.policy`, the interface of a policy, and `agents.policies.name`, which reads names.
`agents.policies.plan_policy` lets a planner act, `agents.policies.trained` a network as its file and
`agents.policies.card` say; `agents.policies.sampling` uses such a network as a planner.
"""
