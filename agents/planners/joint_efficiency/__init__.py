"""Joint efficiency: decides placement and upload order at once, by delay saved per second of upload.

Begin with `agents.planners.joint_efficiency.joint_efficiency`, which states the rule.
`agents.planners.joint_efficiency.intervals` measures efficiencies, and `agents.planners.joint_efficiency.compiled_plan`
makes the plan.
"""
