"""Training: a configuration in, a run folder with a trained agent out."""
