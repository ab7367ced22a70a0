"""Turns pictures into latents, one piece of the episode at a time, and back.

diffusers' AutoencoderKLWan encodes and decodes whole videos: its public methods clear the memory of its causal
convolutions at both ends. Its encoder and decoder take that memory as an argument, so we keep it here, one per episode
and stream, and share the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lingbot_eval.errors import BadInput
from lingbot_eval.settings.lingbot_va import LingBotSettings
from lingbot_eval.types import Image

Memory = dict[str, list[Any]]
"""It holds, by stream, what each causal convolution of the encoder remembers of the last call."""

Pictures = npt.NDArray[np.float32]
"""(T, H, W, 3) in [0, 1]."""

PIECE = 16
"""So many pictures of a whole video are encoded at a time, for the sake of memory; a multiple of four."""

Watch = Callable[[str, Tensor, Tensor], None]
"""It is told the stream's name, its pixels and the encoder's output."""


class Vision:
    """Holds the VAE, and the layout of the cameras in one latent picture."""

    def __init__(self, vae: Any, settings: LingBotSettings, dtype: torch.dtype, device: torch.device) -> None:
        self._vae, self._settings, self._dtype, self._device = vae, settings, dtype, device
        self._patch = vae.config.patch_size
        self._convolutions, self._decoder_convolutions = _convolutions(vae.encoder), _convolutions(vae.decoder)
        self._mean = torch.tensor(vae.config.latents_mean, device=device).view(1, -1, 1, 1, 1)
        self._std = torch.tensor(vae.config.latents_std, device=device).view(1, -1, 1, 1, 1)

    @torch.no_grad()
    def encode(self, images: Mapping[str, Image], memory: Memory, watch: Watch | None = None) -> Tensor:
        """Turn (T, H, W, 3) uint8 per camera into (1, 48, T', h, w) normalised latents.

        T = 1 in the first call of an episode (one latent frame), then multiples of four (T' = T / 4).
        """
        self._check(images, started=bool(memory))
        done = {}
        for name, pixels in self.pixels(images).items():
            out = self._encoded(pixels, memory.setdefault(name, [None] * self._convolutions))
            if watch is not None:
                watch(name, pixels, out)
            done[name] = self._normalised(out)
        wide = {name: torch.cat(list(latents), dim=-1)[None] for name, latents in done.items()}
        return torch.cat([wide["wrist"], wide["main"]], dim=-2) if "wrist" in wide else wide["main"]

    @torch.no_grad()
    def of_videos(self, videos: Sequence[Mapping[str, Image]]) -> list[dict[str, Tensor]]:
        """Turn whole videos of one length, per camera (1 + 4 n, H, W, 3) uint8, into the normalised latents that
        :meth:`encode` makes of them: per video, by camera, (48, 1 + n, h, w)."""
        memory: Memory = {}
        parts: dict[str, list[Tensor]] = {}
        for piece in _pieces(len(next(iter(videos[0].values())))):
            squares = []
            for video in videos:
                images = {name: video[name][piece] for name in self._settings.cameras}
                self._check(images, started=bool(memory))
                squares.append(self.pixels(images))
            for stream in squares[0]:
                pixels = torch.cat([one[stream] for one in squares])
                out = self._encoded(pixels, memory.setdefault(stream, [None] * self._convolutions))
                parts.setdefault(stream, []).append(self._normalised(out))
        wholes = [torch.cat(latents, dim=2) for latents in parts.values()]
        apart = [whole.reshape(len(videos), -1, *whole.shape[1:]) for whole in wholes]
        names = list(self._settings.cameras)
        return [
            dict(zip(names, (one for stream in apart for one in stream[number]), strict=True))
            for number in range(len(videos))
        ]

    def pixels(self, images: Mapping[str, Image]) -> dict[str, Tensor]:
        """Return by stream (``main``; ``wrist`` in the T layout): (cameras, 3, T, H, W) in [-1, 1], the model's
        dtype."""
        height, width = self._settings.height, self._settings.width
        names = list(self._settings.cameras)
        if self._settings.layout == "tshape":
            streams = {"main": (names[:1], (height, width)), "wrist": (names[1:], (height // 2, width // 2))}
        else:
            streams = {"main": (names, (height, width))}
        return {
            stream: torch.stack([self._resized(images[name], size) for name in cameras]).to(self._dtype)
            for stream, (cameras, size) in streams.items()
        }

    def decode(self, latents: Tensor) -> Pictures:
        """(1, 48, T, h, w) normalised latents of a video from its start -> (1 + 4 (T - 1), 16 h, 16 w, 3)."""
        return np.concatenate(list(self.decoded(latents, self.nothing_decoded())))

    def nothing_decoded(self) -> list[Any]:
        """Return what the decoder remembers before a video's first frame. A copy of it is a branch: what is decoded
        with one does not change the other."""
        return [None] * self._decoder_convolutions

    @torch.no_grad()
    def decoded(self, latents: Tensor, memory: list[Any]) -> Iterator[Pictures]:
        """(1, 48, T, h, w) normalised latents that follow what ``memory`` has seen -> per latent frame, 4 pictures
        (16 h, 16 w); of a video's first frame one. ``memory`` is carried on."""
        for frame in torch.split(latents.to(self._device, self._dtype), 1, dim=2):
            first = memory[0] is None
            # divided by the inverse, and below resized with colours first: to round as the original does
            raw = frame / (1 / self._std.to(self._dtype)) + self._mean.to(self._dtype)
            raw = self._vae.post_quant_conv(raw)
            squares = self._vae.decoder(raw, feat_cache=memory, feat_idx=[0], first_chunk=first)
            pictures = (self._reshuffled(squares)[0].float().clamp(-1, 1) / 2 + 0.5).permute(1, 2, 3, 0)
            yield np.asarray(pictures.cpu().numpy(), np.float32)

    def apart(self, pictures: Pictures) -> dict[str, Pictures]:
        """Cut decoded pictures into those of each camera: the reverse of the layout."""
        names, (height, width) = list(self._settings.cameras), (self._settings.height, self._settings.width)
        if self._settings.layout == "width":
            return {name: pictures[:, :, n * width : (n + 1) * width] for n, name in enumerate(names)}
        head, left, right = names
        top, half = height // 2, width // 2
        return {head: pictures[:, top:], left: pictures[:, :top, :half], right: pictures[:, :top, half:]}

    def _check(self, images: Mapping[str, Image], *, started: bool) -> None:
        names = list(self._settings.cameras)
        if missing := [name for name in names if name not in images]:
            raise BadInput(f"no picture of {', '.join(missing)} (cameras given: {', '.join(images)})")
        for name in names:
            given = images[name]
            if given.dtype != np.uint8 or given.ndim != 4 or given.shape[-1] != 3:
                raise BadInput(f"pictures of {name}: {given.dtype} {given.shape}; wanted: uint8 (T, H, W, 3), 0..255")
        counts = {len(images[name]) for name in names}
        if len(counts) != 1 or (counts.pop() % 4 if started else counts != {1}):
            found = ", ".join(f"{name} {len(images[name])}" for name in names)
            wanted = "a multiple of four of each" if started else "exactly one of each at first"
            raise BadInput(f"pictures: {found}; wanted {wanted}")

    def _resized(self, images: Image, size: tuple[int, int]) -> Tensor:
        """(T, H0, W0, 3) uint8 -> (3, T, H, W) float32 in [-1, 1]; bilinear without anti-aliasing, as in training."""
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(self._device).permute(3, 0, 1, 2).float()
        return F.interpolate(pixels, size=size, mode="bilinear", align_corners=False) / 255 * 2 - 1

    def _encoded(self, pixels: Tensor, memory: list[Any]) -> Tensor:
        """(B, 3, T, H, W) -> (B, 96, T', H / 16, W / 16); ``memory`` is carried on."""
        out = self._vae.encoder(self._unshuffled(pixels), feat_cache=memory, feat_idx=[0])
        encoded: Tensor = self._vae.quant_conv(out)
        return encoded

    def _normalised(self, encoded: Tensor) -> Tensor:
        """(B, 96, T, h, w) -> (B, 48, T, h, w); the second half is a log variance, which nobody samples."""
        mean = encoded.chunk(2, dim=1)[0].float()
        return ((mean - self._mean) * (1 / self._std)).to(self._dtype)

    def _unshuffled(self, pixels: Tensor) -> Tensor:
        """Make each p x p square of pixels channels, ordered (colour, column, row)."""
        p = self._patch
        if p is None:
            return pixels
        batch, colours, time, height, width = pixels.shape
        squares = pixels.view(batch, colours, time, height // p, p, width // p, p)
        return squares.permute(0, 1, 6, 4, 2, 3, 5).reshape(batch, colours * p * p, time, height // p, width // p)

    def _reshuffled(self, squares: Tensor) -> Tensor:
        """Undo :meth:`_unshuffled`."""
        p = self._patch
        if p is None:
            return squares
        batch, channels, time, height, width = squares.shape
        apart = squares.view(batch, channels // (p * p), p, p, time, height, width)
        return apart.permute(0, 1, 4, 5, 3, 6, 2).reshape(batch, channels // (p * p), time, height * p, width * p)


def _pieces(length: int) -> Iterator[slice]:
    """Cut a video as the encoder takes it: its first picture, then PIECE pictures at a time."""
    yield slice(0, 1)
    for start in range(1, length, PIECE):
        yield slice(start, start + PIECE)


def _convolutions(part: Any) -> int:
    return sum(type(module).__name__ == "WanCausalConv3d" for module in part.modules())
