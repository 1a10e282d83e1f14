"""Draw: the parts from which families draw their scenarios, a batch at a time."""
