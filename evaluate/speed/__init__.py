"""Speed: measures environments, training, planners and searches on this machine.

Begin with `evaluate.speed.speed`, the command, which lists the parts; each part is measured in a module of its own,
with the clock of `evaluate.speed.timing`.
"""
