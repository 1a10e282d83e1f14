"""Orders: planners of the second half, in which order a placement is uploaded."""
