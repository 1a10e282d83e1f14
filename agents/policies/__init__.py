"""Policies: everything that acts in an environment, by name."""
