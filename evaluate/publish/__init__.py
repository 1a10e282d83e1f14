"""Publish: makes an agent that comes with the project from a training run.

Begin with `evaluate.publish.publish`, the command.
"""
