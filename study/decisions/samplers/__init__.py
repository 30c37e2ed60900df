"""How Optuna proposes configs: one file for each sampler, listed in ``study.spec.samplers``."""
