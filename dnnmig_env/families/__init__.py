"""The families of scenarios, one generator per file."""
