"""Policy networks: the torch modules that score actions."""
