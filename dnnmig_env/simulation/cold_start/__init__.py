"""Cold start: the delay of one query that is raised at time 0 and may wait for its layers."""
