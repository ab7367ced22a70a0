"""A policy of your own in 15 lines: it drifts about the command that asks for no motion, another way in every episode.

    run-suite tabletop --agent examples/policy.py:Drift --tasks lift_block --episodes 2

Any benchmark can be played so, and with agent.options.reach=0.2 it drifts further. docs/extending.md goes on from here.
"""

import numpy as np


class Drift:
    def __init__(self, spec, reach: float = 0.05, looks_ahead: int = 4):
        self.spec, self.reach, self.looks_ahead = spec, reach, looks_ahead

    def reset(self, instruction, *, seed):
        self.dice = np.random.default_rng(seed)

    def act(self, frames):
        low, high = np.array(self.spec.low), np.array(self.spec.high)
        rest = np.array(self.spec.idle or frames[-1]["state"])
        steps = self.dice.normal(size=(self.looks_ahead, self.spec.commands_per_action, len(low)))
        commands = rest + self.reach * (high - low) * steps.cumsum(axis=0)
        return np.clip(commands, low, high).astype(np.float32)
