"""A run on Ray nodes outlives them; here two of them on one machine."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lingbot_eval.errors import BadInput, LingbotEvalError, NotReady
from lingbot_eval.settings import RaySettings, RunSettings
from lingbot_eval.suites.local import Event
from lingbot_eval.suites.store import RunDirectory
from lingbot_eval.types import Outcome
from tests.conftest import IMPATIENT, toy_run
from tests.processes import children, wait_for
from tests.suites.test_local import ALL, carry_on, outcomes

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")

from ray.cluster_utils import Cluster

from lingbot_eval.suites.cluster import RayWorkers


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Room for one worker on each of two nodes, and a head without any."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 80_000_000})
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    yield cluster
    cluster.shutdown()


def on(cluster: Cluster, **changes: Any) -> RunSettings:
    settings = RaySettings(
        address=cluster.address, gpus_per_worker=None, cpus_per_worker=0, cpus_per_environment=1, patience_seconds=20.0
    )
    return toy_run(cluster=settings, **{"workers": None, "limits": IMPATIENT, **changes})


def test_a_node_that_leaves_takes_no_episode_along(cluster, tmp_path):
    """The last test of the cluster that has both nodes."""
    left: list[str] = []

    def leave(event: Event) -> None:
        if event.record is None and event.lane == 1 and not left:
            left.append(event.episode.id)
            cluster.remove_node(list(cluster.worker_nodes)[-1], allow_graceful=False)

    slow = dict.fromkeys(range(3), "slow")
    final, told = carry_on(tmp_path, on(cluster, faults=slow), leave)
    assert outcomes(final) == dict.fromkeys(ALL, "success")
    errors = [event for event in told if event.record and event.record.outcome is Outcome.ERROR]
    assert len(errors) == 1
    (error,) = errors
    assert error.record is not None
    assert "was lost with its node" in error.record.error
    assert error.will_retry
    assert final[error.episode.id].attempt == 2
    attempts = Counter(record.episode.id for record in RunDirectory(tmp_path).records().all)
    assert attempts == {id: 1 + (id == error.episode.id) for id in final}
