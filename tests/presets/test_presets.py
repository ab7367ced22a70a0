"""Nothing that can move a score changes unnoticed: every value of every file of ``conf/`` stands in a table, too."""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from lingbot_eval.cli.run_suite import _parser, chosen_settings
from lingbot_eval.envs.robotwin import tasks as robotwin_tasks
from lingbot_eval.envs.robotwin.groups import GROUPS
from lingbot_eval.envs.tabletop.catalogue import catalogue
from lingbot_eval.settings import as_struct
from lingbot_eval.settings.lingbot_va import LingBotSettings
from lingbot_eval.suites import load_protocol
from tests.planning import settings
from tests.presets import lingbot_va, ours, robotwin
from tests.presets.held import TABLES, differing, unlike

CONF = Path(str(resources.files("lingbot_eval"))) / "conf"


def test_every_value_of_every_file_is_the_one_held():
    assert unlike(CONF) == []


@pytest.fixture
def copied(tmp_path) -> Path:
    return Path(shutil.copytree(CONF, tmp_path / "conf"))


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("protocol/libero/lingbot-va.yaml", "flip: vertical", "flip: rotate180", "flip: 'rotate180', held 'vertical'"),
        ("agent/lingbot-va/robotwin.yaml", "28, 7,", "29, 7,", "channels[7]: 29, held 28"),
        ("protocol/toy/toy.yaml", "seed: 0", "# seed: 0", "seed: only in the table"),
        ("protocol/toy/toy.yaml", "seed: 0", "seed: 0\nfleet: 1", "fleet: only in the file"),
        ("run.yaml", "actions: true", "actions: 1", "actions: 1, held True"),
    ],
)
def test_a_value_that_changes_comes_or_goes_is_named(copied, file, old, new, line):
    text = (copied / file).read_text()
    assert old in text
    (copied / file).write_text(text.replace(old, new, 1))
    assert unlike(copied) == [f"{file}: {line}"]


def test_a_preset_without_a_table_and_a_table_without_a_preset_are_named(copied):
    (copied / "protocol" / "toy" / "toy.yaml").rename(copied / "protocol" / "toy" / "new.yaml")
    assert unlike(copied) == ["protocol/toy/new.yaml: no table", "protocol/toy/toy.yaml: no file"]


def test_the_order_of_cameras_counts_and_that_of_a_files_keys_does_not():
    cameras = {"head": "a", "wrist": "b"}
    turned = dict(reversed(cameras.items()))
    assert list(differing({"cameras": turned, "a": 1}, {"a": 1, "cameras": cameras})) == [
        "cameras: in the order wrist, head, held head, wrist"
    ]


@pytest.mark.parametrize("file", [name for name in TABLES if name.startswith("protocol/")])
def test_a_protocol_as_it_is_loaded_says_what_its_table_says(file):
    _, suite, name = file.removesuffix(".yaml").split("/")
    assert load_protocol(suite, name) == as_struct(TABLES[file], type(load_protocol(suite, name)))


@pytest.mark.parametrize(
    ("agent", "suite", "protocol", "table"),
    [
        ("lingbot-va", "libero", "libero/strict", lingbot_va.LIBERO),
        ("lingbot-va-bimanual", "robotwin", "robotwin/lingbot-va", lingbot_va.ROBOTWIN),
        ("lingbot-va-bimanual", "tabletop", "tabletop/tabletop", lingbot_va.ROBOTWIN),
    ],
)
def test_lingbot_va_plays_a_suite_with_its_own_table(agent, suite, protocol, table):
    chosen = settings([f"suite={suite}", f"env={suite}", f"agent={agent}", f"protocol={protocol}"], [])
    assert chosen.agent.lingbot is not None
    assert chosen.agent.lingbot.settings == as_struct(table, LingBotSettings)
    assert list(chosen.agent.lingbot.settings.cameras) == list(table["cameras"])
    assert chosen.agent.commands_per_action == (1 if suite == "libero" else 4)


def test_robotwins_tasks_have_the_originals_class_and_limit_and_their_index_by_name():
    known = {name: (task.horizon, task.command_limit) for name, task in robotwin_tasks.TASKS.items()}
    assert known == robotwin.TASKS
    assert list(known) == sorted(known)


def test_the_groups_of_tasks_are_the_originals():
    assert [" ".join(tasks) for tasks in GROUPS] == list(robotwin.GROUPS)


def test_tabletops_tasks_have_these_limits_and_these_words():
    def digest(entry: dict[str, Any]) -> str:
        return hashlib.sha256(json.dumps([entry["seen"], entry["unseen"]]).encode()).hexdigest()[:12]

    known = {name: (entry["limit"], digest(entry)) for name, entry in catalogue().items()}
    assert known == ours.TABLETOP_TASKS
    assert list(known) == list(ours.TABLETOP_TASKS)


@pytest.mark.parametrize(
    ("arguments", "protocol", "agent", "suites", "scenes"),
    [
        (["libero"], "strict", "lingbot-va", ("all",), ()),
        (["libero", "--suite", "long"], "strict", "lingbot-va", ("libero_10",), ()),
        (["robotwin"], "lingbot-va", "lingbot-va", ("robotwin",), ("easy", "hard")),
        (["robotwin", "--setting", "hard"], "lingbot-va", "lingbot-va", ("robotwin",), ("hard",)),
        (["tabletop"], "tabletop", "expert", ("tabletop",), ("easy",)),
        (["tabletop", "--setting", "both"], "tabletop", "expert", ("tabletop",), ("easy", "hard")),
        (["toy"], "toy", "expert", ("toy",), ()),
    ],
)
def test_what_is_played_where_nothing_else_is_said(arguments, protocol, agent, suites, scenes):
    """Ours."""
    chosen = chosen_settings(_parser().parse_intermixed_args(arguments))
    assert (chosen.protocol.name, chosen.agent.name) == (protocol, agent)
    assert (chosen.suite.suites, chosen.suite.settings) == (suites, scenes)
    assert agent != "lingbot-va" or chosen.agent.commands_per_action == (1 if arguments[0] == "libero" else 4)
