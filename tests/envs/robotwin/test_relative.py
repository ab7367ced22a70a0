"""Relative commands keep every digit from the simulator's pose to the simulator's command."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("sapien", reason="the tabletop extra is not installed")
pytest.importorskip("mplib", reason="the tabletop extra is not installed")

import msgspec

from lingbot_eval.envs.robotwin import poses
from lingbot_eval.envs.tabletop.tasks import CLASSES
from lingbot_eval.envs.tabletop.tasks.lift_block import LiftBlock
from lingbot_eval.settings import EnvSettings
from lingbot_eval.suites import load_protocol, suite_named
from lingbot_eval.suites.machine import inspect

COUNT = 4


class Fine(LiftBlock):
    """Knows where its arms are to more digits than float32 has, as RoboTwin does (it multiplies matrices in double
    precision), and keeps what it is told."""

    told: ClassVar[list[np.ndarray]] = []

    def endpose(self) -> dict[str, Any]:
        known = super().endpose()
        return {
            name: [value + 1.23456789e-9 for value in values] if isinstance(values, list) else values - 1.23456789e-9
            for name, values in known.items()
        }

    def take_action(self, action: np.ndarray, action_type: str = "ee") -> None:
        self.told.append(np.array(action))
        super().take_action(action, action_type)


@pytest.fixture
def env(request, monkeypatch):
    monkeypatch.setitem(CLASSES, "lift_block", Fine)
    Fine.told.clear()
    protocol = load_protocol("tabletop", "tabletop")
    made = suite_named("tabletop").make_env(
        EnvSettings(
            simulator=suite_named("tabletop").simulator_settings({}),
            protocol=msgspec.structs.replace(protocol, commands=getattr(request, "param", "relative")),
            suite="tabletop",
            task="lift_block",
            commands_per_action=COUNT,
            cameras=False,
            render=False,
        )
    )
    yield made
    made.close()


def chunk(frames: int) -> np.ndarray:
    """(16, F, 4 * COUNT) float32 as LingBot-VA's server answers: near the start, quaternions of any length."""
    generator = np.random.default_rng(7)
    still = np.float32([0, 0, 0, 0, 0, 0, 1, 1] * 2)
    noise = generator.normal(scale=0.02, size=(frames, 4 * COUNT, 16))
    stretch = np.ones(16)
    stretch[3:7], stretch[11:15] = 1.3, 0.8
    return np.float32((still + noise) * stretch).transpose(2, 0, 1)


def as_the_client_composes(chunk: np.ndarray, known: dict[str, Any]) -> np.ndarray:
    """(n, 16) float64: every command of a chunk in the client's order, retold from reading
    evaluation/robotwin/eval_polict_client_openpi.py:415-425, 533-537, 556-582 (Robbyant/lingbot-va @ 6f092cb)."""
    first = [*known["left_endpose"], known["left_gripper"], *known["right_endpose"], known["right_gripper"]]
    initial = np.array(first, dtype=np.float64)
    commands = []
    for i in range(chunk.shape[1]):
        for j in range(chunk.shape[2]):
            whole = []
            for arm in (slice(0, 8), slice(8, 16)):
                new, here = chunk[:, i, j][arm], initial[arm]
                turned = (Rotation.from_quat(here[None, 3:7]) * Rotation.from_quat(new[None, 3:7])).as_quat()[0]
                whole += [*(new[:3] + here[:3]), *(turned / np.linalg.norm(turned)), new[7]]
            commands.append(whole)
    return np.array(commands, np.float64)


def test_the_simulator_gets_the_commands_that_lingbot_vas_client_composes(env):
    env.reset(seed=3)
    told, answer = Fine.told, chunk(frames=2)
    expected = as_the_client_composes(answer, env._inner._task.endpose())
    for action in answer.transpose(1, 2, 0).reshape(-1, COUNT, 16):
        env.step(action)
    assert len(told) == len(expected) == 2 * 4 * COUNT
    np.testing.assert_allclose(told, expected, rtol=0, atol=1e-12)
    assert abs(np.float32(expected) - expected).max() > 1e-8  # what rounding would have cost


def test_the_pose_that_commands_are_relative_to_is_told_with_every_digit(env):
    observation, info = env.reset(seed=3)
    known = env._inner._task.endpose()
    first = [*known["left_endpose"], known["left_gripper"], *known["right_endpose"], known["right_gripper"]]
    assert info["first_pose"] == first
    np.testing.assert_array_equal(observation["state"], np.float32(first))
    assert (np.float64(observation["state"]) != first).any()


@pytest.mark.parametrize("env", ["absolute"], indirect=True)
def test_an_absolute_command_reaches_the_simulator_as_the_agent_gave_it(env):
    observation, _ = env.reset(seed=3)
    action = np.tile(observation["state"], (COUNT, 1)) + np.float32(1e-3)
    env.step(action)
    np.testing.assert_array_equal(Fine.told, action.astype(np.float64))


def test_how_commands_reach_the_simulator_is_among_the_facts_of_the_protocol_hash():
    facts = inspect(suite_named("tabletop"), suite_named("tabletop").simulator_settings({}), draws=False).facts
    assert facts["bimanual-commands"] == poses.SCORE_VERSION == "2"
