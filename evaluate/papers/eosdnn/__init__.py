"""EosDNN: measures what its authors claim of PSO-GA and LMU."""
