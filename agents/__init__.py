"""Who decides: planners, learned policies and the one interface they share."""
