"""Exact search: the best plan of a small scenario, with proof, and lower bounds."""
