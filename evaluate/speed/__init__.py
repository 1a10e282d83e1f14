"""Speed: measures environments, training, planners and searches on this machine."""
