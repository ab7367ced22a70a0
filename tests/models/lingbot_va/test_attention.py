"""What the blocks attend to is exchangeable: a cache of forwards, or a mask over the whole sequence, as in training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from torch import Tensor

from lingbot_eval.models.lingbot_va import loading
from lingbot_eval.models.lingbot_va.attention import Prompt, attended
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.key_value_cache import KeyValueCache
from lingbot_eval.models.lingbot_va.padding import MAX_TOKENS
from lingbot_eval.models.lingbot_va.transformer import (
    Stream,
    VideoActionTransformer,
    action_grid,
    rotary,
    video_grid,
    video_tokens,
)

CHUNKS, FRAMES, COMMANDS = 3, 2, 4
PER_FRAME = 4
"""Tokens of either stream: latents of 4 x 4, and as many commands."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Piece:
    """A chunk of one stream, noisy or clean."""

    stream: Stream
    chunk: int
    level: float
    tokens: Tensor
    grid: Tensor

    @property
    def id(self) -> int:
        """Its place in the order of an episode: a chunk's video, then its actions."""
        return 2 * self.chunk + (self.stream == "action")


def pieces() -> Iterator[Piece]:
    """In the order of an episode; of each chunk and stream the noisy one first, which nobody sees but itself."""
    generator = torch.Generator().manual_seed(0)
    for chunk in range(CHUNKS):
        for stream in ("video", "action"):
            for level in (700.0 + chunk, 0.0):
                start = chunk * FRAMES
                if stream == "video":
                    tokens = video_tokens(torch.randn(1, 48, FRAMES, 4, 4, generator=generator))
                    grid = video_grid(start, FRAMES, 4, 4)
                else:
                    tokens = torch.randn(1, FRAMES * COMMANDS, 30, generator=generator)
                    grid = action_grid(start, FRAMES, COMMANDS)
                yield Piece(stream, chunk, level, tokens, grid)


class Masked:
    """A whole sequence, of which each token sees what its row of ``mask`` allows."""

    def __init__(self, mask: Tensor) -> None:
        self._mask = mask

    def attend(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return attended(queries, keys.transpose(1, 2), values.transpose(1, 2), self._mask)


@pytest.fixture
def transformer(tiny) -> VideoActionTransformer:
    return loading.load_transformer(locate(str(tiny)), torch.float32, CPU)


def prompt(transformer: VideoActionTransformer) -> Prompt:
    text = torch.zeros(1, MAX_TOKENS, transformer.shape.text_dim)
    text[:, :5] = torch.randn(1, 5, transformer.shape.text_dim, generator=torch.Generator().manual_seed(1))
    return transformer.prompt(text)


def through_a_cache(transformer: VideoActionTransformer, sequence: list[Piece]) -> list[Tensor]:
    """What one forward after another computes, of which the clean ones are kept."""
    shape, found = transformer.shape, []
    cache = KeyValueCache(
        shape.num_layers, 1, 1000, shape.num_attention_heads, shape.attention_head_dim, torch.float32, CPU
    )
    for piece in sequence:
        count = piece.tokens.shape[1]
        cache.make_room(count)
        times = transformer.times(piece.stream, torch.full((1, FRAMES), piece.level))
        turns = rotary(piece.grid, shape.attention_head_dim)
        found.append(transformer(piece.stream, piece.tokens, times, turns, cache, prompt(transformer)))
        if not piece.level:
            cache.commit(f"{piece.id}", count, real=True, rows=1)
    return found


def at_once(transformer: VideoActionTransformer, sequence: list[Piece]) -> list[Tensor]:
    """What one forward over the whole sequence computes: noisy sees clean before it and itself, clean sees clean."""
    counts = [piece.tokens.shape[1] for piece in sequence]
    ids = torch.tensor([piece.id for piece in sequence]).repeat_interleave(torch.tensor(counts))
    noisy = torch.tensor([piece.level > 0 for piece in sequence]).repeat_interleave(torch.tensor(counts))
    before, same = ids[None] < ids[:, None], ids[None] == ids[:, None]
    seen = ~noisy[None] & (before | (same & ~noisy[:, None])) | (same & noisy[None] & noisy[:, None])
    times = [transformer.times(piece.stream, torch.full((1, FRAMES), piece.level)) for piece in sequence]
    modulation = torch.cat([one.modulation.repeat_interleave(PER_FRAME, 1) for one in times], 1)
    turns = rotary(torch.cat([piece.grid for piece in sequence], 1), transformer.shape.attention_head_dim)
    x = torch.cat([transformer.embed(piece.stream, piece.tokens) for piece in sequence], 1)
    history, text = Masked(seen), prompt(transformer)
    for layer, block in transformer.layers():
        x = block(layer, x, modulation, turns, history, text)
    outs = zip(sequence, x.split(counts, 1), times, strict=True)
    return [transformer.head(piece.stream, part, one.embedded) for piece, part, one in outs]


def test_a_mask_over_the_whole_sequence_is_forwards_over_a_cache(transformer):
    sequence = list(pieces())
    with torch.no_grad():
        one_by_one, together = (way(transformer, sequence) for way in (through_a_cache, at_once))
        alone = at_once(transformer, sequence[-1:])
    for cached, masked in zip(one_by_one, together, strict=True):
        torch.testing.assert_close(cached, masked, atol=1e-5, rtol=1e-5)
    assert (alone[0] - together[-1]).abs().max() > 0.01  # the history counts


def test_gradients_reach_every_parameter_through_the_mask_and_a_step_lowers_the_loss(transformer):
    sequence = list(pieces())

    def loss() -> Tensor:
        return torch.stack([out.square().mean() for out in at_once(transformer, sequence)]).sum()

    first = loss()
    first.backward()
    for name, parameter in transformer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    torch.optim.SGD(transformer.parameters(), lr=1e-3).step()
    assert loss() < first
