"""IONN: shortest paths through the execution graph of one user's network."""
