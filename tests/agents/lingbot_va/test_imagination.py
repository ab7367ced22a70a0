"""What is shown was imagined, of this moment and camera; the error is over what was predicted and came."""

from __future__ import annotations

import math
import weakref

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.agents.lingbot_va.imagination import Imagination
from lingbot_eval.agents.lingbot_va.session import Turn
from lingbot_eval.agents.lingbot_va.sessions import Sessions
from lingbot_eval.types import Imagines
from tests.agents.lingbot_va.test_session import loaded, look, play


@pytest.fixture(params=["libero", "robotwin"])
def lingbot(request, tiny):
    return loaded(tiny, benchmark=request.param, height=64, width=64)


def noise(lingbot, frames: int):
    return torch.randn(1, 48, frames, *lingbot.model.settings.latent_size, generator=torch.Generator().manual_seed(0))


def turns(lingbot: Sessions, agent: Imagination) -> list[Turn]:
    """What another session sees and imagines of the three chunks that ``agent`` plays: the same."""
    session, rng = lingbot.new(), np.random.default_rng(0)
    for each in (session, agent):
        each.reset("pick up the bowl", seed=1)
    frames, found = [look(rng, lingbot.model.settings)], []
    for _ in range(3):
        found.append(session.turn(frames))
        np.testing.assert_array_equal(agent.act(frames), found[-1].actions)
        frames = [look(rng, lingbot.model.settings) for _ in found[-1].actions]
    return found


def test_one_stretch_after_another_decodes_to_what_the_library_makes_of_the_whole_video(tiny):
    from lingbot_eval.models.lingbot_va import loading
    from lingbot_eval.models.lingbot_va.checkpoint import locate

    lingbot = loaded(tiny)
    vae = loading.load_vae(locate(str(tiny)), torch.float32, torch.device("cpu"))
    latents, per_channel = noise(lingbot, 4), (1, -1, 1, 1, 1)
    mean, std = (torch.tensor(getattr(vae.config, f"latents_{name}")).view(per_channel) for name in ("mean", "std"))
    with torch.no_grad():
        whole = vae.decode(latents * std + mean, return_dict=False)[0][0].permute(1, 2, 3, 0).numpy() / 2 + 0.5
    memory = lingbot.model.vision.nothing_decoded()
    pieces = list(lingbot.model.vision.decoded(latents[:, :, :2], memory))
    branch = list(memory)
    other = list(lingbot.model.vision.decoded(-latents[:, :, 2:], branch))
    pieces += list(lingbot.model.vision.decoded(latents[:, :, 2:], memory))
    assert [len(piece) for piece in pieces] == [1, 4, 4, 4]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)
    assert np.abs(other[0] - pieces[2]).max() > 0.01
    np.testing.assert_array_equal(lingbot.model.vision.decode(latents), np.concatenate(pieces))


def test_a_cameras_picture_comes_back_in_its_own_tile(lingbot):
    """The decoder's middle sees the whole picture, so others change too, but less."""
    settings, vision = lingbot.model.settings, lingbot.model.vision
    pictures = look(np.random.default_rng(0), settings)["images"]

    def seen(**changed) -> dict[str, np.ndarray]:
        latents = vision.encode({name: picture[None] for name, picture in {**pictures, **changed}.items()}, {})
        return vision.apart(vision.decode(latents))

    before = seen()
    sizes = dict.fromkeys(settings.cameras, (64, 64))
    if settings.layout == "tshape":
        sizes |= {"left_wrist": (32, 32), "right_wrist": (32, 32)}
    assert {name: tile.shape for name, tile in before.items()} == {n: (1, *size, 3) for n, size in sizes.items()}
    for name in settings.cameras:
        after = seen(**{name: 255 - pictures[name]})
        moved = {tile: np.abs(after[tile] - before[tile]).mean() for tile in before}
        assert max(moved, key=lambda tile: moved[tile]) == name


def test_every_look_has_what_was_imagined_of_it(lingbot):
    agent = Imagination(lingbot.new(), lingbot.model.vision)
    taken = play(agent, lingbot.model.settings, chunks=3)
    captions = [imagined.caption for imagined in agent.imagined()]
    per_chunk = [len(actions) for actions in taken]
    assert captions == ["given"] + [
        f"chunk {chunk + 1}, {number + 1} of {count}"
        for chunk, count in enumerate(per_chunk)
        for number in range(count)
    ]
    assert isinstance(agent, Imagines)


def test_a_chunk_is_decoded_and_measured_as_the_continuation_of_what_really_came(lingbot):
    agent, vision = Imagination(lingbot.new(), lingbot.model.vision), lingbot.model.vision
    seen = turns(lingbot, agent)
    imagined, came = [turn.chunk.latents for turn in seen], [turn.came for turn in seen[1:]]
    assert seen[0].came is None
    shown = list(agent.imagined())
    error = agent.imagination_error()
    assert error is not None
    assert error.frames == 1 + 2  # of two frames a chunk: not the given one, and nothing of the last chunk
    off = torch.cat([(imagined[0] - came[0])[:, :, 1:], imagined[1] - came[1]], dim=2)
    assert error.latent_mse == pytest.approx(float(off.square().mean()), rel=1e-5)

    real = vision.decode(torch.cat(came, dim=2))
    first, second = vision.decode(imagined[0]), vision.decode(torch.cat([came[0], imagined[1]], dim=2))
    predicted = np.concatenate([first[1:5], second[5:]])
    assert error.psnr == pytest.approx(-10 * math.log10(np.square(predicted - real[1:]).mean()), abs=1e-3)
    third = vision.decode(torch.cat([*came, imagined[2]], dim=2))
    for number in (13, 20):
        for name, tile in vision.apart(third).items():
            np.testing.assert_allclose(shown[number].images[name], tile[number] * 255, atol=0.6)


def test_with_chunks_of_one_frame_each_prediction_meets_its_own_pictures(tiny):
    """The session imagines twice in its first call: the given picture is all of chunk 1."""
    lingbot = loaded(tiny, frames=1)
    agent = Imagination(lingbot.new(), lingbot.model.vision)
    seen = turns(lingbot, agent)
    imagined, came = [turn.chunk.latents for turn in seen], [turn.came for turn in seen]
    captions = [look.caption for look in agent.imagined()]
    assert captions == ["given", *(f"chunk {chunk}, {number} of 4" for chunk in (2, 3, 4) for number in (1, 2, 3, 4))]
    error = agent.imagination_error()
    assert error.frames == 2
    off = torch.cat([imagined[0] - came[1], imagined[1] - came[2]], dim=2)  # came[0] is the given picture
    assert error.latent_mse == pytest.approx(float(off.square().mean()), rel=1e-5)


def test_nothing_is_compared_before_something_came_and_psnr_needs_decoding(lingbot):
    agent = Imagination(lingbot.new(), lingbot.model.vision)
    play(agent, lingbot.model.settings, chunks=1)
    assert agent.imagination_error() is None
    play(agent, lingbot.model.settings, chunks=2)
    error = agent.imagination_error()
    assert error is not None
    assert error.psnr is None
    list(agent.imagined())
    assert agent.imagination_error().psnr > 0
    agent.reset("again", seed=0)
    assert list(agent.imagined()) == []
    assert agent.imagination_error() is None


def test_an_error_that_is_not_finite_is_none(lingbot):
    def endless(chunk: int) -> tuple[torch.Tensor, torch.Tensor]:
        settings = lingbot.model.settings
        actions = torch.zeros(1, 30, settings.frames, settings.commands_per_frame, 1)
        return torch.full((1, 48, settings.frames, *settings.latent_size), float("inf")), actions

    agent = Imagination(lingbot.new(noise=endless), lingbot.model.vision)
    play(agent, lingbot.model.settings, chunks=2)
    assert agent.imagination_error() is None


def test_the_cache_is_free_before_anything_is_decoded(tiny):
    lingbot = loaded(tiny)
    session = lingbot.new()
    agent = Imagination(session, lingbot.model.vision)
    play(agent, lingbot.model.settings, chunks=2)
    held = weakref.ref(session.state.cache)
    next(agent.imagined())
    assert held() is None
    play(agent, lingbot.model.settings, chunks=1)  # and there is another for the next episode
