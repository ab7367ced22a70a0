"""Play tabletop to a table and videos: its expert on three tasks, then LingBot-VA with random weights on one.

No GPU, no checkout and no checkpoint are needed. Running it again only prints the tables.
"""

import sys
from pathlib import Path

from lingbot_eval.cli.run_suite import main
from lingbot_eval.envs.vulkan import probe
from lingbot_eval.errors import NotReady
from lingbot_eval.models.lingbot_va.tiny import make_tiny

EXPERT = ["tabletop", "--tasks", "lift_block,stack_two,hand_over_bar", "--episodes", "2", "--agent", "expert"]
LINGBOT = ["tabletop", "--tasks", "lift_block", "--episodes", "1", "--agent", "lingbot-va"]
TINY = Path("runs/tiny")


def demo() -> int:
    try:
        probe()
    except NotReady as reason:
        print(f"No pictures, so no videos and no LingBot-VA, which looks at them: {reason}\n")
        return main([*EXPERT, "--video", "off"])
    played = main([*EXPERT, "--video", "on"])
    if not TINY.exists():
        make_tiny(TINY)
    print("\nLingBot-VA with random weights, which cannot win: its video shows what it imagined below what it saw.")
    return main([*LINGBOT, f"agent.checkpoint={TINY}"]) or played


if __name__ == "__main__":
    sys.exit(demo())
