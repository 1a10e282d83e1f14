"""Who decides: planners, trained policy networks, and the one interface through which both act.

Begin with `agents.policies.policy`, the interface, and `agents.policies.name`, which reads the names of policies.
`agents.planners` has the planners. The policy network is in `agents.policy_networks`; `agents.learning` trains it, and
`agents.pretrained` holds the trained agents that come with the project.
"""
