"""Simulator processes that misbehave: the toy's, with a part of its host replaced."""

from __future__ import annotations

import sys
from pathlib import Path

from lingbot_eval.settings.toy import ToySettings

HOST = """
import json, os, socket, subprocess, sys, time
import numpy as np
from lingbot_eval.envs import host
from lingbot_eval.envs.host import Host
from lingbot_eval.child import Connection

def raw(data):
    socket.socket(fileno=os.dup(int(sys.argv[2]))).sendall(data)

honest, begin, seeds = Host.step, Host.reset, []

def reset(self, seed, options):
    seeds.append(seed)
    return begin(self, seed, options)

Host.reset = reset
{script}

sys.argv = sys.argv[2:]
host.main()
"""

INFO = {"commands": 1, "progress": 0, "max_progress": 1, "out_of_bounds": 0, "protocol": "toy"}

ORPHAN = """
import os, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
held = bytearray(b"x") * 100_000_000
open({file!r}, "w").write(str(os.getpid()))
time.sleep(600)
"""
"""A daemon: a grandchild in a session of its own, whose parent is gone."""


def simulator(folder: Path, script: str) -> ToySettings:
    """The toy, whose process runs ``script`` before it serves: it may replace methods of ``Host``, and write ``raw``
    bytes into the socket."""
    interpreter = folder / "python"
    interpreter.write_text(f"#!{sys.executable}\n{HOST.format(script=script)}")
    interpreter.chmod(0o755)
    return ToySettings(python=str(interpreter), faults={})


def stepping(change: str) -> str:
    """A script whose ``step`` answers ``said`` as ``change`` leaves it; ``seeds`` are those of its episodes."""
    return f"""
def step(self, action):
    said = honest(self, action)
    {change}
    return said
Host.step = step
"""


def telling(data: str, op: str = "step") -> str:
    """A script that answers ``op`` with the bytes ``data``, an expression."""
    return f"""
def told(self, *given):
    raw({data})
    time.sleep(600)
Host.{op} = told
"""


def with_orphan(file: Path) -> str:
    """A script whose ``step`` leaves a daemon behind, whose pid is in ``file`` when it runs."""
    return f"""
def step(self, action):
    if not os.path.exists({str(file)!r}):
        subprocess.run([{sys.executable!r}, "-c", {ORPHAN.format(file=str(file))!r}], check=True)
        while not (os.path.exists({str(file)!r}) and open({str(file)!r}).read()):
            time.sleep(0.01)
    return honest(self, action)
Host.step = step
"""
