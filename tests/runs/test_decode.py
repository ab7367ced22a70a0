"""Records from lines: what they say, and what is held once."""

from __future__ import annotations

import copy
import dataclasses
import gc

import msgspec
import pytest

from lingbot_eval.runs.decode import EpisodeDecoder, RecordDecoder, uncollected
from lingbot_eval.types import Episode, EpisodeRecord, Outcome, Provenance, Spent

WHO = Provenance("expert", "", "toy", "0123456789ab", {"numpy": "2.2.6"}, "here")


def line(seed: int, **changes) -> bytes:
    episode = Episode("toy", "reach", seed, "Go there.", setting="easy")
    given = {"provenance": WHO, "spent": Spent(1.0, 2.0, 0.5), **changes}
    return msgspec.json.encode(EpisodeRecord(episode, Outcome.SUCCESS, 3, 4.5, **given))


def test_a_record_is_what_was_written():
    decoder = RecordDecoder()
    for given in (line(1), line(2), line(3, provenance=None), line(4, error='"provenance":{}', spent=None)):
        record = decoder.decode(given)
        assert record == msgspec.json.decode(given, type=EpisodeRecord)
        assert type(record) is EpisodeRecord
        assert msgspec.json.encode(record) == given
    short = b'{"episode":%s,"outcome":"error","commands":0,"seconds":1}' % msgspec.json.encode(record.episode)
    assert decoder.decode(short).provenance is None


def test_equal_provenances_and_texts_are_held_once_and_others_are_not_mixed_up():
    decoder = RecordDecoder()
    one, other = decoder.decode(line(1)), decoder.decode(line(2))
    assert one.provenance is other.provenance
    assert one.episode.instruction is other.episode.instruction
    elsewhere = decoder.decode(line(3, provenance=Provenance("expert", "", "toy", "0123456789ab", {}, "there")))
    assert (elsewhere.provenance.host, one.provenance.host) == ("there", "here")
    plan = EpisodeDecoder()
    first, second = (plan.decode(msgspec.json.encode(known.episode)) for known in (one, other))
    assert (first, second) == (one.episode, other.episode)
    assert first.task is second.task


def test_a_record_shares_the_planned_episode_unless_it_was_told_otherwise():
    planned = [Episode("toy", "reach", seed, "Go there.", setting="easy") for seed in (1, 2)]
    decoder = RecordDecoder(planned)
    assert decoder.decode(line(1)).episode is planned[0]
    assert decoder.decode(line(2).replace(b"Go there.", b"Go home.")).episode.instruction == "Go home."
    assert decoder.decode(line(3)).episode.seed == 3


@pytest.mark.parametrize("damage", [b'"host":"here"', b'"versions":{"numpy":"2.2.6"}'])
def test_a_provenance_that_is_none_is_refused_the_first_time_and_again(damage):
    decoder = RecordDecoder()
    for _ in range(2):
        with pytest.raises(msgspec.DecodeError):
            decoder.decode(line(1).replace(damage, b'"damage":7'))


def test_an_id_is_put_together_once_and_travels_with_no_copy():
    episode = Episode("toy", "reach", 7, "Go there.")
    assert episode.id is episode.id
    assert episode == Episode("toy", "reach", 7, "Go there.")
    assert b"_id" not in msgspec.json.encode(episode)
    for same in (copy.copy(episode), copy.deepcopy(episode)):
        assert (same, same.id) == (episode, "toy/reach/-/7/-")
    assert dataclasses.replace(episode, seed=8).id == "toy/reach/-/8/-"


def test_the_collector_is_as_it_was_afterwards():
    with uncollected():
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
