"""Every setting is a field of frozen structs that hydra fills (``conf/``) and that travel as JSON.

``suite.py``, ``agent.py`` and ``run.py`` have what all benchmarks, agents and runs share; what one benchmark or one
kind of agent has besides is in a file of its name.
"""

from lingbot_eval.settings.agent import AgentSettings
from lingbot_eval.settings.run import (
    ClusterSettings,
    Limits,
    LocalSettings,
    RaySettings,
    RunSettings,
    default_limits,
)
from lingbot_eval.settings.structs import Count, Seconds, as_struct, to_dict
from lingbot_eval.settings.suite import (
    EnvSettings,
    Protocol,
    SceneProtocol,
    Setting,
    SimulatorSettings,
    SuiteSettings,
    protocol_hash,
)

__all__ = [
    "AgentSettings",
    "ClusterSettings",
    "Count",
    "EnvSettings",
    "Limits",
    "LocalSettings",
    "Protocol",
    "RaySettings",
    "RunSettings",
    "SceneProtocol",
    "Seconds",
    "Setting",
    "SimulatorSettings",
    "SuiteSettings",
    "as_struct",
    "default_limits",
    "protocol_hash",
    "to_dict",
]
