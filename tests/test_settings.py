"""Settings: refused where they do not fit, the same after travelling as JSON, and a protocol is known by its hash."""

from __future__ import annotations

import json
from importlib import resources
from typing import Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
import yaml

from lingbot_eval.envs.libero.tasks import SUITES
from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.runs.compose import quoted
from lingbot_eval.runs.settings import run_settings
from lingbot_eval.settings import (
    Limits,
    Protocol,
    as_struct,
    default_limits,
    protocol_hash,
    to_dict,
)
from lingbot_eval.settings.libero import LiberoProtocol, LiberoSettings
from lingbot_eval.settings.toy import ToyProtocol
from lingbot_eval.suites import env_settings, load_protocol, protocol_names
from tests.conftest import toy, toy_run
from tests.planning import settings

PRESETS = [(suite, name) for suite in ("libero", "toy") for name in protocol_names(suite)]
TOY = ["suite=toy", "env=toy", "agent=idle", "protocol=toy/toy"]
LIBERO = ["suite=libero", "env=libero", "agent=idle", "protocol=libero/strict"]


def test_the_presets_are_those_that_the_documentation_promises():
    assert protocol_names("libero") == ["lerobot", "lingbot-va", "openpi", "strict", "vla-eval"]
    assert protocol_names("toy") == ["toy"]


@pytest.mark.parametrize(("suite", "name"), PRESETS)
def test_every_preset_loads_under_its_own_name(suite, name):
    protocol = load_protocol(suite, name)
    assert protocol.name == name
    assert isinstance(protocol, LiberoProtocol if suite == "libero" else ToyProtocol)


@pytest.mark.parametrize("name", protocol_names("libero"))
def test_every_libero_preset_limits_the_commands_of_every_suite(name):
    assert set(load_protocol("libero", name).command_limit) == set(SUITES)


@pytest.mark.parametrize("name", protocol_names("libero"))
def test_every_value_of_a_libero_preset_has_a_comment_that_says_why(name):
    text = (resources.files("lingbot_eval") / "conf" / "protocol" / "libero" / f"{name}.yaml").read_text()
    bare = [line for line in text.splitlines() if ":" in line and "#" not in line]
    assert [line for line in bare if line.split(":")[0] not in ("benchmark", "name", "command_limit")] == []


def test_an_unknown_preset_is_refused_with_the_nearest_and_all_names():
    with pytest.raises(UnknownName, match=r"did you mean 'strict'\?.*lerobot, lingbot-va, openpi, strict, vla-eval"):
        load_protocol("libero", "strickt")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"workers": 0}, "workers"),
        ({"workers": "many"}, "workers"),
        ({"workers": 1.5}, "workers"),
        ({"video": "maybe"}, "video.*auto.*on.*off"),
        ({"speed": 9}, "speed"),
        ({"limits": {"start_seconds": 1, "reset_seconds": 1, "command_seconds": 0, "episode_seconds": 1}}, "command_s"),
        ({"env": {"simulator": "toy", "python": None, "faults": {"0": "explode"}}}, "env.faults.*explode"),
        ({"env": {"simulator": "toy", "python": None, "faults": {"first": "die"}}}, "env.faults"),
        ({"env": {"simulator": "gazebo"}}, "env"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_path(change, path):
    with pytest.raises(BadInput, match=path):
        run_settings({**to_dict(toy_run()), **change})


@pytest.mark.parametrize("field", Limits.__struct_fields__)
def test_no_field_has_a_default_that_could_hide_a_forgotten_one(field):
    data = to_dict(toy_run())
    del data["limits"][field]
    with pytest.raises(BadInput, match=f"limits.*{field}|{field}.*limits"):
        run_settings(data)


def test_run_settings_are_the_same_after_a_journey_as_json():
    run = toy_run(faults={3: "die", 4: "slow"}, video="on", workers=7)
    assert to_dict(run_settings(json.loads(json.dumps(to_dict(run))))) == to_dict(run)


@pytest.mark.parametrize(
    ("agent", "video", "films"),
    [("lingbot-va", "auto", "imagined"), ("lingbot-va", "on", "on"), ("idle", "auto", "on"), ("expert", "auto", "off")],
)
def test_auto_films_what_there_is_to_see_without_extra_cost(agent, video, films):
    groups = ["suite=libero", "env=libero", f"agent={agent}", "protocol=libero/strict"]
    assert settings(groups, [f"video={video}"]).films == films


@pytest.mark.parametrize("name", protocol_names("libero"))
def test_environment_settings_are_the_same_after_a_journey_as_json(name):
    env = msgspec.structs.replace(
        toy(faults={0: "hang"}, commands_per_action=4),
        protocol=load_protocol("libero", name),
        simulator=LiberoSettings(assets="/a", download=False, gl="egl", python=None),
    )
    for given in (toy(faults={0: "hang"}), env):
        again = env_settings(json.loads(json.dumps(to_dict(given))))
        assert (again.protocol, again.simulator) == (given.protocol, given.simulator)
        assert to_dict(again) == to_dict(given)


def leaves(data: dict, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Where the values are that are no dicts."""
    found = []
    for key, value in data.items():
        found += leaves(value, (*path, key)) if isinstance(value, dict) else [(*path, key)]
    return found


def with_another(protocol: Protocol, path: tuple[str, ...]) -> Protocol:
    """``protocol`` with another value, which fits too, at ``path``."""
    data = to_dict(protocol)
    place = data[path[0]] if len(path) > 1 else data
    kind, old = get_type_hints(type(protocol))[path[0]], place[path[-1]]
    if get_origin(kind) is Literal:
        place[path[-1]] = next(choice for choice in get_args(kind) if choice != old)
    elif isinstance(old, tuple):
        place[path[-1]] = (old[0] + 0.5, *old[1:])
    else:
        place[path[-1]] = f"{old} too" if isinstance(old, str) else (old or 0) + 1
    return as_struct(data, type(protocol))


@pytest.mark.parametrize(("suite", "name"), [("libero", "strict"), ("libero", "openpi"), ("toy", "toy")])
def test_every_field_of_a_protocol_moves_its_hash(suite, name):
    protocol = load_protocol(suite, name)
    paths = [path for path in leaves(to_dict(protocol)) if path != ("benchmark",)]
    hashes = {protocol_hash(with_another(protocol, path), {}) for path in paths}
    assert len(hashes - {protocol_hash(protocol, {})}) == len(paths) >= 5


def test_every_fact_about_the_machine_moves_the_hash_of_a_protocol():
    protocol = load_protocol("libero", "strict")
    facts = [{}, {"mujoco": "3.3.7"}, {"mujoco": "3.3.8"}, {"robosuite": "3.3.7"}, {"mujoco": "3.3.7", "assets": "ab"}]
    assert len({protocol_hash(protocol, known) for known in facts}) == len(facts)
    assert protocol_hash(protocol, {"a": "1", "b": "2"}) == protocol_hash(protocol, {"b": "2", "a": "1"})


def test_no_two_presets_share_a_hash():
    assert len({protocol_hash(load_protocol(*preset), {}) for preset in PRESETS}) == len(PRESETS)


def test_a_modified_protocol_does_not_keep_its_name():
    for changed in ("protocol.warmup_count=10", "protocol.command_limit.libero_10=520"):
        assert settings(LIBERO, [changed]).protocol.name == "strict (modified)"


def test_a_protocol_set_to_what_it_already_says_keeps_its_name():
    plain = settings(LIBERO, [])
    assert plain.protocol == load_protocol("libero", "strict")
    assert settings(LIBERO, ["protocol.warmup_count=5", "env.gl=osmesa", "suite.seed=3"]).protocol == plain.protocol


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("env.glx=egl", r"unknown setting 'env\.glx'; did you mean 'env\.gl'\?"),
        ("wrokers=2", r"unknown setting 'wrokers'; did you mean 'workers'\?"),
        ("protocol.command_limit.libero_100=3", "did you mean 'protocol.command_limit.libero_10'"),
        ("workers.count=2", r"unknown setting 'workers\.count'"),
        ("nothing.at.all=2", r"unknown setting 'nothing\.at\.all'"),
        ("+extra=2", "unknown setting"),
        ("~limits", "neither a flag nor a setting"),
        ("workers=many", "workers"),
        ("workers=[1", r"\[1"),
        ("suite=toy", "suite=toy: the benchmark is the first word of run-suite, here libero"),
        ("agent=robot", "expert, idle, lingbot-va, lingbot-va-bimanual, lingbot-va-tabletop, random, replay"),
        ("suite.name=moon", "moon.*libero, robotwin, tabletop, toy"),
        ("video=maybe", "auto.*on.*off"),
    ],
)
def test_an_override_that_does_not_fit_is_refused_on_one_line(override, complaint):
    with pytest.raises(BadInput, match=complaint) as caught:
        settings(LIBERO, [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["Spatial, 40k steps", "it's", 'a "b"', "a=b", "[x]", "{y}", "50 %", "é–", "a\\b", "\\"]
)
def test_the_users_words_arrive_as_they_were_written(text):
    assert settings(TOY, [f"regime={quoted(text)}"]).regime == text


def test_words_that_look_like_an_interpolation_are_words():
    assert settings(TOY, [f"regime={quoted('costs ${workers}')}"]).regime == "costs ${workers}"


def test_faults_of_the_toy_are_set_by_seed():
    assert settings(TOY, ["env.faults.3=die", "env.faults.4=slow"]).env.faults == {3: "die", 4: "slow"}


def test_the_defaults_of_the_limits_are_those_of_conf():
    text = (resources.files("lingbot_eval") / "conf" / "limits" / "default.yaml").read_text()
    assert to_dict(settings(TOY, []).limits) == yaml.safe_load(text) == to_dict(default_limits())


@pytest.mark.parametrize("given", ["true", "main", "0123abc", "owner@main"])
def test_what_is_fetched_is_a_commit_or_nothing_and_it_is_said_where_commits_are_listed(given):
    with pytest.raises(BadInput) as error:
        settings(LIBERO, [f"env.download={given}"])
    said = str(error.value)
    assert said.startswith(f"env.download={given}: ")
    assert "40 of 0-9, a-f" in said
    assert "libero-assets/commits/main" in said


@pytest.mark.parametrize("given", ["false", "null", "0123456789abcdef0123456789abcdef01234567"])
def test_a_commit_or_nothing_to_fetch_is_taken_as_it_is(given):
    assert str(settings(LIBERO, [f"env.download={given}"]).env.download).lower() in (given, "none")
