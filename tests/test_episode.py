"""The loop: who sees what, what ends an episode, and what the record says."""

from __future__ import annotations

import dataclasses

import gymnasium as gym
import msgspec
import numpy as np
import pytest

from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.episode import run_episode
from lingbot_eval.errors import BadAction, ImpossibleAnswer
from lingbot_eval.settings import to_dict
from lingbot_eval.types import Episode, EpisodeRecord, Outcome, Provenance
from tests.conftest import toy

EPISODE = Episode("toy", "reach", 0, "go right")


class Push:
    """Push by a fixed distance, three actions of two commands at a time, remembering what it was shown and told."""

    def __init__(self, metres: float, actions: int = 3) -> None:
        self.actions = np.full((actions, 2, 1), metres, np.float32)

    def reset(self, instruction, *, seed):
        self.seen, self.told = [], (instruction, seed)

    def act(self, frames):
        assert len(self.seen) < 100, "asked for ever"
        self.seen.append(len(frames))
        return self.actions


class Wrong(Push):
    """Hands out whatever it was given."""

    def __init__(self, actions) -> None:
        self.actions = actions


def reach(task: str = "reach") -> ReachEnv:
    return ReachEnv(toy(task, commands_per_action=2))


def test_a_pushing_agent_reaches_the_goal():
    record = run_episode(reach(), Push(0.04), EPISODE)
    assert (record.outcome, record.progress, record.max_progress) == (Outcome.SUCCESS, 1, 1)


def test_an_idle_agent_fails_at_the_command_limit():
    record = run_episode(reach(), Push(0.0), EPISODE)
    assert (record.outcome, record.commands, record.progress) == (Outcome.FAILURE, 60, 0)


def test_commands_after_success_are_neither_sent_nor_counted():
    env, agent = reach(), Push(0.04)
    record = run_episode(env, agent, EPISODE)
    start = float(env.reset(seed=0)[0]["state"][0])
    needed = next(n for n in range(1, 60) if abs(start + 0.04 * n - 1.0) < 0.05)
    assert record.commands == needed


def test_half_of_a_task_is_progress_but_no_success():
    record = run_episode(reach("return"), Push(0.04), dataclasses.replace(EPISODE, task="return"))
    assert (record.outcome, record.progress, record.max_progress) == (Outcome.FAILURE, 1, 2)


def test_the_agent_sees_one_frame_at_first_then_one_per_action():
    agent = Push(0.0)
    run_episode(reach(), agent, EPISODE)
    assert agent.seen == [1] + [3] * 9


def test_the_agent_hears_the_instruction_and_a_seed_made_of_the_episodes_id():
    first, other = Push(0.0), Push(0.0)
    run_episode(reach(), first, EPISODE)
    run_episode(reach(), other, dataclasses.replace(EPISODE, initial_state=4))
    assert first.told == ("go right", EPISODE.agent_seed)
    assert other.told[1] != first.told[1]


def test_the_same_episode_gives_the_same_record():
    records = [run_episode(reach(), Push(0.04), EPISODE) for _ in range(2)]
    assert dataclasses.replace(records[0], seconds=0.0) == dataclasses.replace(records[1], seconds=0.0)


def test_another_seed_gives_another_scene():
    starts = {float(reach().reset(seed=seed)[0]["state"][0]) for seed in range(20)}
    assert len(starts) == 20


def test_commands_outside_the_box_go_unchanged_to_the_simulator_and_are_counted():
    env = reach()
    before = float(env.reset(seed=0)[0]["state"][0])
    observation, *_, info = env.step(np.array([[-0.3], [0.1]], np.float32))
    assert float(observation["state"][0]) == pytest.approx(before - 0.2)
    assert info["out_of_bounds"] == 1


def test_a_command_that_success_forestalled_is_not_counted_as_out_of_bounds():
    env = reach()
    position = float(env.reset(seed=0)[0]["state"][0])
    *_, terminated, _, info = env.step(np.array([[1.0 - position], [7.0]], np.float32))
    assert (terminated, info["commands"], info["out_of_bounds"]) == (True, 1, 1)  # the first alone was sent


@pytest.mark.parametrize(
    "actions",
    [
        np.zeros((3, 1, 1), np.float32),
        np.zeros((3, 2, 2), np.float32),
        np.zeros((2, 1), np.float32),
        np.zeros((3, 2, 1), np.float64),
        np.full((3, 2, 1), np.nan, np.float32),
        np.full((3, 2, 1), np.inf, np.float32),
        [[[0.0], [0.0]]],
    ],
    ids=["too few commands", "too many channels", "no action axis", "float64", "NaN", "infinity", "a list"],
)
def test_actions_of_a_wrong_shape_or_type_are_refused(actions):
    with pytest.raises(BadAction, match=r"float32 of shape \(2, 1\)|NaN or infinity"):
        run_episode(reach(), Wrong(actions), EPISODE)


def test_an_agent_that_returns_no_action_is_refused_rather_than_asked_for_ever():
    with pytest.raises(BadAction):
        run_episode(reach(), Push(0.0, actions=0), EPISODE)


def test_an_agents_nan_is_named_and_none_of_its_actions_is_executed():
    env, actions = reach(), np.full((3, 2, 1), 0.04, np.float32)
    actions[1, 1, 0] = np.nan
    with pytest.raises(BadAction, match=r"nan at \[1, 1, 0\] \(action, command, channel, from 0\) of \(3, 2, 1\)"):
        run_episode(env, Wrong(actions), EPISODE)
    assert env.step(np.zeros((2, 1), np.float32))[-1]["commands"] == 2  # these two alone


class Lying(ReachEnv):
    """Says something else of every step."""

    def __init__(self, name: str, value: object) -> None:
        super().__init__(toy(commands_per_action=2))
        self._name, self._value = name, value

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        said = {"terminated": terminated, "truncated": truncated, **info}
        said[self._name] = self._value(said[self._name]) if callable(self._value) else self._value
        return observation, reward, said.pop("terminated"), said.pop("truncated"), said


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("terminated", "no", "terminated='no', which is neither True nor False"),
        ("terminated", np.nan, "terminated=nan"),
        ("terminated", None, "terminated=None"),
        ("terminated", 1, "terminated=1"),
        ("truncated", np.array([True]), "truncated=array"),
        ("commands", np.nan, "commands=nan, which is no count"),
        ("commands", "7", "commands='7', which is no count"),
        ("commands", True, "commands=True"),
        ("commands", 5000, "5000 commands, where"),
        ("commands", 0, "0 commands, where"),
        ("out_of_bounds", 0.5, "out_of_bounds=0.5, which is no count"),
        ("out_of_bounds", -1, "out of bounds"),
        ("progress", 1e9, "progress 1000000000.0 of 1"),
        ("progress", np.nan, "progress nan of 1"),
        ("progress", "all", "progress='all', which is no number"),
        ("progress", 0, "a success with progress 0 of 1"),
        ("max_progress", np.float32(np.inf), "a task of inf steps"),
    ],
)
def test_what_an_environment_cannot_say_is_no_result(name, value, words):
    with pytest.raises(ImpossibleAnswer, match=words):
        run_episode(Lying(name, value), Push(0.04), EPISODE)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("terminated", np.bool_),
        ("truncated", np.bool_),
        ("commands", np.int64),
        ("progress", np.float32),
        ("max_progress", np.int32),
        ("out_of_bounds", np.uint8),
    ],
)
def test_numpys_own_numbers_are_results_like_others(name, kind):
    honest = run_episode(reach(), Push(0.04), EPISODE)
    record = run_episode(Lying(name, kind), Push(0.04), EPISODE)
    assert msgspec.json.encode(dataclasses.replace(record, seconds=0.0)) == msgspec.json.encode(
        dataclasses.replace(honest, seconds=0.0, progress=record.progress)
    )


@pytest.mark.parametrize("field", ["suite", "task", "setting", "seed", "initial_state"])
def test_every_field_that_makes_a_scene_is_in_the_id(field):
    other = dataclasses.replace(EPISODE, **{field: 5 if field in ("seed", "initial_state") else "other"})
    assert other.id != EPISODE.id
    assert other.agent_seed != EPISODE.agent_seed


def test_a_record_survives_the_way_to_json_and_back():
    provenance = Provenance("expert", "", "toy", "abc", {"numpy": "1"}, "here")
    record = EpisodeRecord(EPISODE, Outcome.ERROR, 3, 0.1, 0.5, 2.0, 1, 4, "why\nand where – ü", 2, "now", provenance)
    assert msgspec.json.decode(msgspec.json.encode(record), type=EpisodeRecord) == record
    assert msgspec.convert(to_dict(record), EpisodeRecord) == record


def test_the_environment_is_told_the_episodes_seed_task_setting_state_and_place():
    """LIBERO's scene depends on the state and, under some protocols, on the place; RoboTwin's on the setting."""

    class Told(gym.Wrapper):
        def reset(self, *, seed=None, options=None):
            self.told = seed, options
            return self.env.reset(seed=seed)

    env = Told(reach())
    run_episode(env, Push(0.04), Episode("toy", "reach", 3, "", setting="hard", initial_state=7, index=5))
    assert env.told == (3, {"task": "reach", "setting": "hard", "initial_state": 7, "index": 5})
