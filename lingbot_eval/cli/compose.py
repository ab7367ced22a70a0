"""Where hydra stops: overrides in, frozen settings out."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from hydra import compose, initialize_config_module
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.settings import RunSettings, as_struct, load_protocol, to_dict


def settings(groups: Sequence[str], overrides: Sequence[str]) -> RunSettings:
    """``groups`` choose the files of ``conf/`` (``suite=libero``); ``overrides`` change values in them.

    A changed protocol keeps its name with "(modified)" behind it, so that no table shows it as the preset.
    Raises UnknownName for a key that does not exist, BadInput for a value that does not fit.
    """
    with initialize_config_module("lingbot_eval.conf", version_base=None):
        try:
            plain = compose("run", overrides=list(groups))
            choices = [override for override in overrides if OmegaConf.is_dict(plain.get(override.partition("=")[0]))]
            plain = compose("run", overrides=[*groups, *choices])  # cluster=ray has other keys than cluster=local
            for override in overrides:
                _check_key(plain, override)
            composed = compose("run", overrides=[*groups, *map(_addable, overrides)])
            data = OmegaConf.to_container(composed, resolve=False)  # "${x}" in somebody's words is words
        except MissingConfigException as error:
            group, _, name = (error.missing_cfg_file or "").rpartition("/")
            raise UnknownName(group, name, error.options or ()) from None
        except (HydraException, OmegaConfBaseException) as error:
            words = " ".join(str(error).split()) or type(error).__name__
            raise BadInput(f"setting: {words}; quote special characters, as in \"env.assets='~/LIBERO'\"") from None
    chosen: RunSettings = as_struct(data, RunSettings)
    protocol = chosen.protocol
    if to_dict(load_protocol(chosen.suite.name, protocol.name)) == to_dict(protocol):
        return chosen
    modified = msgspec.structs.replace(protocol, name=f"{protocol.name} (modified)")
    return msgspec.structs.replace(chosen, protocol=modified)


def quoted(text: str) -> str:
    """``text`` as a value in hydra's override grammar, whatever characters it has."""
    # in hydra's grammar a backslash is one, except before a quote
    return "'" + re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text) + "'"


def _addable(override: str) -> str:
    """Hydra refuses to add keys to a dict unless told to; the only one that takes any key is ``env.faults``."""
    return f"++{override}" if override.startswith("env.faults") else override


def _check_key(plain: DictConfig, override: str) -> None:
    key, equals, _ = override.partition("=")
    if not equals:
        raise BadInput(f"{override!r} is neither a flag nor a setting; settings look like env.gl=osmesa")
    parent, _, name = key.rpartition(".")
    group = OmegaConf.select(plain, parent) if parent else plain
    if not OmegaConf.is_dict(group):
        raise UnknownName("setting", key, _keys(plain))
    if name not in group and parent != "env.faults":  # faults: any seed
        raise UnknownName("setting", key, [f"{parent}.{known!s}".lstrip(".") for known in group])


def _keys(plain: DictConfig) -> list[str]:
    keys = []
    for group, value in plain.items():
        keys += [f"{group!s}.{name!s}" for name in value] if OmegaConf.is_dict(value) else [str(group)]
    return keys
