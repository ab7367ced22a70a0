"""A run on Ray nodes outlives them; here two of them on one machine."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.lanes import EpisodeUpdate
from lingbot_eval.runs.worker import Job
from lingbot_eval.settings import RaySettings, RunSettings, to_dict
from lingbot_eval.settings.tabletop import TabletopSettings
from lingbot_eval.suites import load_protocol
from lingbot_eval.types import Outcome
from tests.conftest import IMPATIENT, toy_run
from tests.processes import children
from tests.runs.test_coordinator import ALL, WHO, carry_on, outcomes, shared

pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")

from ray.cluster_utils import Cluster

from lingbot_eval.runs.ray_workers import RayWorkers, Relay, adapted, versions


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes, each with room for one worker."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80_000_000})
    cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    yield cluster
    cluster.shutdown()


def on(
    cluster: Cluster, faults: dict[int, str] | None = None, sessions: int = 1, patience: float = 60.0
) -> RunSettings:
    settings = RaySettings(
        cluster.address, gpus_per_worker=None, cpus_per_worker=0, cpus_per_environment=1, patience_seconds=patience
    )
    return shared(toy_run(cluster=settings, workers=None, limits=IMPATIENT, faults=faults), sessions)


def workers_below(pid: int) -> list[int]:
    """Pids of the worker processes that ``pid`` or a process that it started has started."""
    found = []
    for child in children(pid):
        command = (Path("/proc") / str(child) / "cmdline").read_bytes()
        found += [child] if b"lingbot_eval.runs.worker" in command else workers_below(child)
    return found


def test_two_nodes_share_a_run_and_a_worker_that_is_killed_is_replaced(cluster, tmp_path):
    begun: set[int | None] = set()
    killed: list[int] = []

    def kill(update: EpisodeUpdate) -> None:
        begun.add(update.lane)
        if update.record is None and begun == {0, 1} and not killed:  # whichever node was the first
            workers = workers_below(os.getpid())
            assert len(workers) == 2
            killed.append(workers[0])
            os.kill(killed[0], signal.SIGKILL)

    final, told = carry_on(tmp_path, on(cluster, faults=dict.fromkeys(range(3), "slow")), kill)
    assert outcomes(final) == dict.fromkeys(ALL, "success")
    assert {update.lane for update in told} == {0, 1}
    (error,) = [update.record for update in told if update.record and update.record.outcome is Outcome.ERROR]
    assert error.error == "the worker was ended by SIGKILL"
    assert workers_below(os.getpid()) == []


def test_a_node_that_leaves_takes_no_episode_along(cluster, tmp_path):
    """The cluster has one node afterwards."""
    left: list[str] = []

    def leave(update: EpisodeUpdate) -> None:
        if update.record is None and update.lane == 1 and not left:
            left.append(update.episode.id)
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)

    final, told = carry_on(tmp_path, on(cluster, faults=dict.fromkeys(range(3), "slow")), leave)
    assert outcomes(final) == dict.fromkeys(ALL, "success")
    (error,) = [update for update in told if update.record and update.record.outcome is Outcome.ERROR]
    assert error.record is not None
    assert error.record.error.startswith("the worker was lost with its node")
    assert error.will_retry
    attempts = Counter(record.episode.id for record in RunDirectory(tmp_path).records().all)
    assert attempts == {id: 1 + (id == error.episode.id) for id in final}


def test_a_worker_that_fits_nowhere_is_waited_for_and_then_refused_with_what_it_takes(cluster, tmp_path, capsys):
    words = r"has room for a worker, which takes 0 GPUs and 2 CPUs.*Nodes, busy or not: 0 GPUs and 1 CPUs"
    with pytest.raises(NotReady, match=words):
        carry_on(tmp_path, on(cluster, sessions=2, patience=1.0))
    assert re.search(words + r".*waiting 1 s", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ray://host:10001", r"on one of its nodes, with cluster\.address=auto"),
        ("127.0.0.1:1", r"cluster\.address=127\.0\.0\.1:1: .*refused; .* RAY_AUTH_MODE=token"),
        ("head", r"cluster\.address=head: an address is host:port, or auto"),
        ("head:", "an address is host:port, or auto$"),
    ],
)
def test_an_address_where_no_cluster_is_gets_one_line(address, words, monkeypatch):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises((BadInput, NotReady), match=words):
        RayWorkers(toy_run(), RaySettings(address, None, 0, 1, 1.0))
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises((BadInput, NotReady), match=r"^\$RAY_ADDRESS="):
        RayWorkers(toy_run(), RaySettings(None, None, 0, 1, 1.0))


@pytest.mark.parametrize(
    ("folder", "tmp", "theirs", "reason"),
    [
        ("/no/such/folder", "tmp", {}, r"cannot work in /no/such/folder, as the coordinator does"),
        (".", "elsewhere", {}, r"no .*/elsewhere on it: the run directory must lie on a disk that all nodes share"),
        (".", "tmp", {"lingbot_eval": "0.0"}, r"lingbot_eval.*0\.0.*: install the same"),
        (".", "tmp", {"code": "0123"}, r"code.*0123.*: install the same"),
    ],
)
def test_a_node_that_is_not_like_the_coordinator_is_refused_by_name(tmp_path, monkeypatch, folder, tmp, theirs, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    job = Job(str(tmp_path), "0.jsonl", "0.log", "0.log", tmp, toy_run(), WHO)
    ((_, said),) = Relay().start([to_dict(job)], folder, {**versions(), **theirs})
    assert re.search(f"Ray node {socket.gethostname()}: .*{reason}", said["why"])


def test_a_node_with_another_simulator_is_refused():
    who = replace(WHO, versions={"mplib": "0.0"})
    suite = msgspec.structs.replace(toy_run().suite, name="tabletop", suites=("tabletop",))
    settings = {"env": TabletopSettings(python=None), "protocol": load_protocol("tabletop", "tabletop")}
    tabletop = toy_run(suite=suite, **settings)
    pytest.importorskip("sapien", reason="SAPIEN is not installed")
    with pytest.raises(NotReady, match=r"is .* on this node, but .* in the experiment"):
        adapted([Job(".", "0.jsonl", "0.log", "0.log", "tmp", tabletop, who)])
