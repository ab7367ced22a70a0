"""Seeds tried with a simulator that misbehaves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from queue import Queue

import pytest

from lingbot_eval.envs.answers import Auditioned
from lingbot_eval.errors import NotReady, SimulatorDied, SimulatorRaised
from lingbot_eval.settings.toy import ToySettings
from lingbot_eval.suites import load_protocol, search
from lingbot_eval.suites.manifest import Audition, Manifest, Wanted
from tests.conftest import toy_run


class Faulty:
    """An environment whose auditions end as they are told, else well."""

    def __init__(self, faults: dict[int, Exception]) -> None:
        self.asked: list[int] = []
        self._faults = faults

    def audition(self, seed: int, setting: str) -> Auditioned:
        self.asked.append(seed)
        if seed in self._faults:
            raise self._faults[seed]
        return Auditioned(outcome="solved", reason="", sentences={"seen": "", "unseen": ""})


def test_seeds_at_which_the_simulator_raises_are_left_out_and_a_dying_one_ends_the_search(tmp_path):
    manifest, want = Manifest(tmp_path / "scenes"), Wanted("lift_block", "easy", 10_000, 2)
    manifest.open("tabletop", {})
    asked = Faulty({10_000: SimulatorRaised("Traceback:\nAssertionError: out of reach")})
    manifest.extend(want, search.Auditions(asked, want, tmp_path, lambda *_: None).of, lambda: False)
    auditions = manifest.auditions("lift_block", "easy")
    assert auditions[10_000].reason == "it raised AssertionError: out of reach"
    assert [seed for seed, audition in auditions.items() if audition.outcome == "solved"] == [10_001, 10_002]
    dying = Faulty({seed: SimulatorDied("killed by SIGSEGV") for seed in range(10_003, 10_100)})
    more = Wanted("lift_block", "easy", 10_000, 3)
    with pytest.raises(NotReady, match=r"killed by SIGSEGV \(5 times\)"):
        manifest.extend(more, search.Auditions(dying, more, tmp_path, lambda *_: None).of, lambda: False)
    assert dying.asked == [seed for seed in range(10_003, 10_008) for _ in range(2)]


def test_what_another_process_looks_for_is_waited_for_and_not_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "WAIT_SECONDS", 0.01)
    theirs, ours = Manifest(tmp_path / "scenes"), Manifest(tmp_path / "scenes")
    theirs.open("tabletop", {})
    want, done = Wanted("lift_block", "easy", 10_000, 2), Wanted("press_button", "easy", 10_000, 1)
    theirs.extend(done, solved, lambda: False)
    none = ToySettings(python="/bin/false", faults={})  # a search of its own would end in NotReady
    waits = Queue()
    limits, protocol = toy_run().limits, load_protocol("tabletop", "tabletop")
    with ThreadPoolExecutor(1) as other:

        def audition(seed: int) -> Audition:
            if seed == 10_000:
                search_words = (ours, [want, done], "tabletop", none, protocol, limits, 2)
                found.append(other.submit(search.search, *search_words, lambda *_: None, waits.put))
                assert waits.get(timeout=10) == [want]
            return solved(seed)

        found = []
        theirs.extend(want, audition, lambda: False)
        found[0].result(timeout=10)
    assert waits.empty()  # it was said once
    assert len(ours.scenes(want)) == 2


def solved(seed: int) -> Audition:
    return Audition(seed, "solved", "", {"seen": "", "unseen": ""})
