"""Agents without a model: still, random, recorded."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from lingbot_eval.agents import kind_named, kind_names, kind_of
from lingbot_eval.agents.scripted import Idle, Random, Replay, recordings
from lingbot_eval.envs.remote import RemoteEnv
from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.envs.toy.spec import env_spec
from lingbot_eval.envs.wrappers import RecordActions
from lingbot_eval.episode import run_episode
from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.settings.agent import ExpertSettings, ReplaySettings
from lingbot_eval.types import Agent, Episode, Outcome, columns
from tests.conftest import IMPATIENT, toy
from tests.planning import settings

EPISODES = [Episode("toy", "reach", seed, "go to the mark", index=seed) for seed in range(3)]
SPEC = dataclasses.replace(
    env_spec(toy(commands_per_action=2)), columns=columns("x y", "m"), low=(-1.0, 0.0), high=(1.0, 5.0)
)


def acts(agent: Agent, seed: int, count: int = 50) -> np.ndarray:
    agent.reset("", seed=seed)
    return np.concatenate([agent.act([]) for _ in range(count)])


def recorded(folder: Path, agent: Agent, commands_per_action: int = 1) -> list:
    env = RecordActions(ReachEnv(toy(commands_per_action=commands_per_action)), folder)
    records = []
    for episode in EPISODES:
        records.append(run_episode(env, agent, episode))
        env.save(episode, records[-1].outcome)
    return records


class Drift(Random):
    """Random, but more to the right, out of the box: it reaches the mark."""

    def act(self, frames):
        return super().act(frames) + np.float32(0.05)


def test_idle_repeats_the_environments_command_for_no_motion():
    actions = acts(Idle(dataclasses.replace(SPEC, idle=(0.5, 0.0))), 0)
    assert actions.shape == (50, 2, 2)
    assert actions.dtype == np.float32
    np.testing.assert_array_equal(actions, np.broadcast_to(np.float32([0.5, 0.0]), (50, 2, 2)))


def test_idle_holds_the_state_where_commands_are_laid_out_as_the_state():
    idle = Idle(dataclasses.replace(SPEC, idle=()))
    idle.reset("", seed=0)
    state = np.array([0.1, 4.0], np.float32)
    np.testing.assert_array_equal(idle.act([{"images": {}, "state": state}]), [[state, state]])


def test_random_is_the_same_for_the_same_seed_and_another_for_another():
    agent = Random(SPEC)
    first = acts(agent, 5)
    np.testing.assert_array_equal(first, acts(agent, 5))
    np.testing.assert_array_equal(first, acts(Random(SPEC), 5))
    assert not np.array_equal(first, acts(agent, 6))


def test_random_fills_the_box_and_does_not_leave_it():
    commands = acts(Random(SPEC), 0, 500).reshape(-1, 2)
    assert commands.dtype == np.float32
    assert (commands >= [-1.0, 0.0]).all()
    assert (commands <= [1.0, 5.0]).all()
    np.testing.assert_allclose(commands.min(0), [-1.0, 0.0], atol=0.05)
    np.testing.assert_allclose(commands.max(0), [1.0, 5.0], atol=0.05)


@pytest.mark.parametrize("commands_per_action", [1, 2])
def test_replay_plays_the_recorded_commands_to_the_recorded_outcome(tmp_path, commands_per_action):
    spec = env_spec(toy(commands_per_action=commands_per_action))
    first = recorded(tmp_path / "first", Drift(spec), commands_per_action)
    again = recorded(tmp_path / "again", Replay(spec, recordings(tmp_path / "first")), commands_per_action)
    assert [dataclasses.replace(r, seconds=0) for r in again] == [dataclasses.replace(r, seconds=0) for r in first]
    assert Outcome.SUCCESS in {record.outcome for record in first}
    for file in (tmp_path / "first").rglob("*.npz"):
        with np.load(file) as one, np.load(tmp_path / "again" / "reach" / file.name) as other:
            np.testing.assert_array_equal(one["actions"], other["actions"])


def test_replay_holds_still_after_the_last_recorded_command(tmp_path):
    env = RecordActions(ReachEnv(toy()), tmp_path)
    env.reset(seed=0)
    env.step(np.full((1, 1), 0.1, np.float32))
    env.save(EPISODES[0], Outcome.FAILURE)
    played = acts(Replay(env_spec(toy()), recordings(tmp_path)), EPISODES[0].agent_seed, 4)
    np.testing.assert_array_equal(played[:, 0, 0], np.array([0.1, 0, 0, 0], np.float32))


def test_replay_refuses_an_episode_that_was_not_recorded(tmp_path):
    recorded(tmp_path, Idle(env_spec(toy())))
    with pytest.raises(BadInput, match=r"none of the 3 recordings is of this episode \('go to the mark'\)"):
        run_episode(
            ReachEnv(toy()), Replay(env_spec(toy()), recordings(tmp_path)), dataclasses.replace(EPISODES[0], seed=99)
        )


def test_replay_refuses_a_recording_with_another_number_of_commands_per_action(tmp_path):
    recorded(tmp_path, Idle(env_spec(toy())))
    with pytest.raises(BadInput, match=r"shape \(1, 1\), and the environment takes \(2, 1\)"):
        Replay(env_spec(toy(commands_per_action=2)), recordings(tmp_path)).reset("", seed=EPISODES[0].agent_seed)


def test_replay_refuses_a_folder_without_recordings(tmp_path):
    with pytest.raises(BadInput, match=r"no recorded actions in .*; a run keeps them in RUN"):
        recordings(tmp_path)


@pytest.mark.parametrize("name", [name for name in kind_names() if name != "lingbot-va"])  # see their tests
def test_every_agent_that_is_listed_can_be_composed_and_loaded(name, tmp_path):
    recorded(tmp_path, Idle(env_spec(toy())))
    groups = ["suite=toy", "env=toy", f"agent={name}", "protocol=toy/toy"]
    chosen = settings(groups, [f"agent.path='{tmp_path}'"] if name == "replay" else [])
    assert chosen.agent.name == name
    env = RemoteEnv(toy(cameras=chosen.agent.looks), IMPATIENT)
    kind = kind_of(chosen.agent)
    agent = kind.load(chosen.agent, chosen.limits, tmp_path / "log")(env if kind.privileged else env.env_spec)
    record = run_episode(env, agent, EPISODES[0])
    assert (record.outcome is Outcome.SUCCESS) == (name == "expert")
    env.close()


def test_an_unknown_agent_is_refused_with_the_known_ones():
    with pytest.raises(
        UnknownName, match=r"did you mean 'random'\? \(valid: expert, idle, lingbot-va, own, random, replay\)"
    ):
        kind_named("randon")


def test_replay_without_a_folder_is_refused_before_anything_is_played():
    with pytest.raises(BadInput, match=r"agent\.path=RUN/actions"):
        kind_named("replay").check(ReplaySettings(False, 1, 1, None), env_spec(toy()))


def test_replay_of_an_empty_folder_is_refused_before_anything_is_played(tmp_path):
    with pytest.raises(BadInput, match="no recorded actions in"):
        kind_named("replay").check(ReplaySettings(False, 1, 1, str(tmp_path)), env_spec(toy()))


def test_an_expert_with_several_commands_per_action_is_refused():
    with pytest.raises(BadInput, match=r"agent\.commands_per_action=1"):
        kind_named("expert").check(ExpertSettings(False, 4, 1, 1, 1, 0.0), env_spec(toy()))
