"""Play a small suite to a table and a video: LIBERO where its assets are found, the toy environment otherwise.

The scripted expert plays, so no GPU and no checkpoint are needed. Running it again only prints the table.
"""

import sys

from lingbot_eval.cli.run_suite import main
from lingbot_eval.envs.check import inspect
from lingbot_eval.errors import NotReady
from lingbot_eval.settings import LiberoSettings

LIBERO = ["libero", "--suite", "object", "--tasks", "0,1", "--episodes", "1"]
TOY = ["toy", "--episodes", "3"]


def demo() -> int:
    try:
        inspect(LiberoSettings(assets=None, download=False, gl="auto", python=None), draws=True)
        suite = LIBERO
    except NotReady as reason:
        print(f"Playing the toy suite instead of LIBERO: {reason}\n")
        suite = TOY
    return main([*suite, "--agent", "expert", "--video", "on"])


if __name__ == "__main__":
    sys.exit(demo())
