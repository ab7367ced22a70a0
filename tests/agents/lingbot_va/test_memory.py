"""What a session occupies is known before anything is loaded, and what does not fit is refused with the sum."""

from __future__ import annotations

import msgspec
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.agents import kind_of
from lingbot_eval.agents.lingbot_va import memory
from lingbot_eval.cli.run_suite import main
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.configuration import load_benchmark
from tests.agents.lingbot_va.test_libero import chosen
from tests.agents.lingbot_va.test_session import loaded


@pytest.mark.parametrize("values", [{}, {"video_guidance": 1.0}, {"window": 8, "frames": 4}])
def test_the_computed_size_is_what_a_session_allocates(tiny, values):
    lingbot = loaded(tiny, **values)
    session = lingbot.new()
    session.reset("pick up the bowl", seed=0)
    cache = session.state.cache
    allocated = cache._keys.nbytes + cache._values.nbytes
    assert memory.Cache.of(lingbot.model.settings, locate(str(tiny)).config, "float32").bytes == allocated


def test_a_session_of_the_published_robotwin_model_takes_7_gigabytes():
    cache = memory.Cache.of(load_benchmark("robotwin"), memory.PUBLISHED, "bfloat16")
    assert cache.bytes == 2 * 30 * 2 * 9792 * 3072 * 2
    assert str(cache).startswith("7.22 GB (keys and values: 2 x 30 layers x 2 rows x 9,792 tokens")


def test_more_sessions_than_fit_are_refused_with_the_sum(tiny, monkeypatch):
    agent = chosen("libero", tiny, "agent.lingbot.device=cpu").agent
    cache = memory.Cache.of(agent.lingbot.settings, locate(str(tiny)).config, "float32").bytes
    weights = memory._values(locate(str(tiny)).transformer) * 4  # and less for the other parts
    monkeypatch.setattr(memory, "free_bytes", lambda device, gpu: weights + 3 * cache)
    with pytest.raises(NotReady, match=r"cpu has .* GB free, and 1 x \(weights .* GB \+ 4 x .* GB .*\) = .* wanted"):
        memory.require_memory(locate(str(tiny)), agent.lingbot, 1, 4)
    memory.require_memory(locate(str(tiny)), agent.lingbot, 1, 1)
    with pytest.raises(NotReady, match=r"3 x \(weights"):
        memory.require_memory(locate(str(tiny)), agent.lingbot, 3, 1)


def test_parts_count_where_they_are_put(tiny, monkeypatch):
    agent = chosen("libero", tiny, "agent.lingbot.device=cpu", "agent.lingbot.text_device=cuda").agent.lingbot
    asked = []
    monkeypatch.setattr(memory, "free_bytes", lambda device, gpu: asked.append(device) or 10**12)
    memory.require_memory(locate(str(tiny)), agent, 1, 1)
    assert sorted(asked) == ["cpu", "cuda:0"]
    del asked[:]
    same = msgspec.structs.replace(agent, device="cuda", text_device="cuda:0")
    memory.require_memory(locate(str(tiny)), same, 1, 1)
    assert asked == ["cuda:0"]  # one device under two names


def test_workers_share_the_gpus_that_they_have_in_turn_and_the_fullest_decides(tiny, monkeypatch):
    agent = chosen("libero", tiny, "agent.lingbot.device=cuda").agent.lingbot
    free = {"0": 10**12, "1": 1000}
    monkeypatch.setattr(memory, "free_bytes", lambda device, gpu: free[gpu])
    memory.require_memory(locate(str(tiny)), agent, 2, 1, ["0"])
    with pytest.raises(NotReady, match=r"cuda:0 has 1e-06 GB free, and 2 x "):
        memory.require_memory(locate(str(tiny)), agent, 3, 1, ["0", "1"])


def test_graphs_without_a_gpu_are_refused_before_anything_is_written(tiny):
    agent = chosen("libero", tiny, "agent.lingbot.graphs=true", "agent.lingbot.device=cpu").agent
    with pytest.raises(BadInput, match=r"agent\.lingbot\.graphs=true needs device=cuda"):
        kind_of(agent).place(agent, workers=1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there_is_one_line(tiny, capsys):
    assert main(["libero", f"agent.checkpoint={tiny}", "agent.lingbot.device=cuda"]) == 2
    assert "agent.lingbot.device=cuda" in capsys.readouterr().err


def test_a_large_model_is_not_put_on_a_cpu_unless_that_is_asked_for(tiny, monkeypatch):
    agent, checkpoint = chosen("libero", tiny).agent.lingbot, locate(str(tiny))
    monkeypatch.setattr(memory, "GPU_NODES", ("/nowhere",))
    assert memory.chosen_device(checkpoint, agent) == "cpu"
    monkeypatch.setattr(memory, "CPU_BYTES", 1000)
    with pytest.raises(NotReady, match=r"no GPU here, and .* GB takes minutes .* agent\.lingbot\.device=cpu"):
        memory.chosen_device(checkpoint, agent)
    assert memory.chosen_device(checkpoint, msgspec.structs.replace(agent, device="cpu")) == "cpu"
    monkeypatch.setattr(memory, "GPU_NODES", ("/dev/null",))
    assert memory.chosen_device(checkpoint, agent) == "cuda"


def test_lingbot_va_is_what_plays_libero_unless_told_otherwise(capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["libero", "--suite", "object"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]  # the only one, where LIBERO's assets are
    for word in ("robbyant/lingbot-va-posttrain-libero-long", "hf download", "agent.checkpoint=DIR", "--agent expert"):
        assert word in said
