"""Which scenes are trained on, and which are evaluated: no scene is both.

A scene that follows from a seed is trained on from FIRST_SEED on and evaluated below it, whatever the protocol and its
base seed. ``lingbot-eval collect`` plans no other, and ``run-suite`` lets no agent but a suite's expert play there.
"""

from __future__ import annotations

from collections.abc import Iterable

from lingbot_eval.errors import BadInput
from lingbot_eval.settings import Protocol, SceneProtocol
from lingbot_eval.types import Episode

FIRST_SEED = 2**30
"""Half of the seeds that a scene may have (``scenes.py``) are for training."""


def base_seed(protocol: Protocol, block: int) -> int:
    """Return the base seed under which ``protocol`` gives the training scenes of a ``block``, 0 for the first: those of
    two blocks differ unless one needs more seeds than ``protocol.seed_block``.

    Raises BadInput for a protocol whose scenes do not follow from a block of seeds.
    """
    if block < 0:
        raise BadInput(f"--seed {block}: blocks of training scenes are numbered from 0")
    if protocol.seed_block < 1:
        raise BadInput(f"protocol {protocol.name}: seed_block={protocol.seed_block} gives every episode the same scene")
    before = 1 if isinstance(protocol, SceneProtocol) else 0  # the first scene has seed_block * (1 + base seed) there
    return -(-FIRST_SEED // protocol.seed_block) - before + block


def trained_on(episode: Episode) -> bool:
    """Say whether the episode's scene is one for training; one that a benchmark stores never is."""
    return episode.initial_state is None and episode.seed >= FIRST_SEED


def refuse_mixture(episodes: Iterable[Episode], expert: bool) -> None:
    """Raise BadInput for an episode that an agent other than the suite's ``expert`` would play in a scene for
    training."""
    if not expert and (found := next(filter(trained_on, episodes), None)):
        raise BadInput(
            f"{found.id}: scenes from seed {FIRST_SEED} on are for training, and only a suite's expert plays there; "
            "evaluate with a smaller --seed"
        )


def refuse_evaluated(episodes: Iterable[Episode]) -> None:
    """Raise BadInput for an episode whose scene may be evaluated: nothing is to be learnt from it."""
    for episode in episodes:
        if not trained_on(episode):
            scene = "a stored scene" if episode.initial_state is not None else f"seed {episode.seed}"
            raise BadInput(f"{episode.id}: {scene} may be evaluated; to learn from are seeds from {FIRST_SEED} on")
