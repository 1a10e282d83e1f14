"""Options of the smallest trainings: PPO in the toy, four episodes side by side."""

TINY = ["--family", "toy", "--algorithm", "ppo", "--num-envs", "4", "--held-out.scenarios", "2", "--device", "cpu"]
