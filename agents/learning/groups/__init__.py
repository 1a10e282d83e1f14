"""Algorithms that play every scenario several times side by side, and learn from how these rollouts differ.

Begin with `agents.learning.groups.rollouts`, which plays; `grpo` and `self_labelling` say what is learned from that.
"""
