"""Local search: simulated annealing of placement and order, the practical best known."""
