"""Learning: Stable-Baselines3's algorithms, with policies that honour the mask."""
