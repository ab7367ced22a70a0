"""The model that is shipped wins by what it sees: with the pictures of another episode it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")
pytest.importorskip("sapien", reason="the tabletop extra is not installed")

from lingbot_eval.agents import kind_of
from lingbot_eval.agents.kind import AgentFor
from lingbot_eval.envs.vulkan import probe
from lingbot_eval.episode import run_episode
from lingbot_eval.errors import NotReady
from lingbot_eval.models.lingbot_va.builtin import builtin_names
from lingbot_eval.runs.compose import Choices, choose
from lingbot_eval.runs.worker import env_settings_for
from lingbot_eval.settings import default_limits
from lingbot_eval.suites import suite_named
from lingbot_eval.types import Agent, Episode, EpisodeRecord, Outcome

TASK = "lift_tray"  # with random weights it is never won, as press_button is now and then

SEEDS = (100_001, 100_003, 100_005, 100_007)

Frame = Mapping[str, Any]


class Recording:
    """An agent that keeps what it was shown."""

    def __init__(self, agent: Agent) -> None:
        self._agent, self.seen = agent, list[Frame]()

    def reset(self, instruction: str, *, seed: int) -> None:
        self._agent.reset(instruction, seed=seed)

    def act(self, frames: Sequence[Frame]) -> Any:
        self.seen += frames
        return self._agent.act(frames)  # type: ignore[arg-type]


class Blindfolded(Recording):
    """One that is shown the pictures of another episode instead, look by look; behind their end, the last ones."""

    def __init__(self, agent: Agent, other: Sequence[Frame]) -> None:
        super().__init__(agent)
        self._other = other

    def act(self, frames: Sequence[Frame]) -> Any:
        first = len(self.seen)
        shown = [self._other[min(first + n, len(self._other) - 1)] for n in range(len(frames))]
        self.seen += frames
        exchanged = [{**frame, "images": one["images"]} for frame, one in zip(frames, shown, strict=True)]
        return self._agent.act(exchanged)  # type: ignore[arg-type]


def episodes() -> list[Episode]:
    return [
        Episode("tabletop", TASK, seed, "Lift the tray with both arms.", "easy", index=n)
        for n, seed in enumerate(SEEDS)
    ]


def played(checkpoint: str, tmp_path: Path) -> tuple[list[Outcome], list[Outcome]]:
    """Outcomes with an episode's own pictures, and with the pictures of the one before it."""
    chosen = choose("tabletop", Choices(agent="lingbot-va", overrides=(f"agent.checkpoint={checkpoint}",)))
    settings = env_settings_for(chosen, episodes()[0])
    spec = suite_named("tabletop").env_spec(settings)
    agent, _ = kind_of(chosen.agent).check(chosen.agent, spec)
    placed = kind_of(agent).place(agent, 1)
    make: AgentFor = kind_of(placed).load(placed, default_limits(), tmp_path)
    env = suite_named("tabletop").make_env(settings)
    try:
        own = [(Recording(make(spec)), episode) for episode in episodes()]
        won = [run_episode(env, agent, episode) for agent, episode in own]
        shifted = [recording.seen for recording, _ in [own[-1], *own[:-1]]]
        blind = [
            run_episode(env, Blindfolded(make(spec), other), episode)
            for other, episode in zip(shifted, episodes(), strict=True)
        ]
    finally:
        env.close()
    return outcomes(won), outcomes(blind)


def outcomes(records: Sequence[EpisodeRecord]) -> list[Outcome]:
    return [record.outcome for record in records]


def test_with_the_pictures_of_another_episode_the_shipped_model_fails(tmp_path):
    if "tabletop" not in builtin_names():
        pytest.skip("this version ships no builtin:tabletop")
    try:
        probe()
    except NotReady as missing:
        pytest.skip(str(missing))
    own, exchanged = played("builtin:tabletop", tmp_path)
    assert own.count(Outcome.SUCCESS) >= 3
    assert exchanged.count(Outcome.SUCCESS) <= 1
