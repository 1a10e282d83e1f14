"""Environments: the problem as decisions, one at a time, in Gymnasium's interface."""
