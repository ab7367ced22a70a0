"""Replays a recorded rollout: a session is driven through the events of a case, and what it computes is compared."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch

from lingbot_eval.agents.lingbot_va.session import Call, Noise
from lingbot_eval.agents.lingbot_va.sessions import Sessions
from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va.configuration import from_upstream
from lingbot_eval.models.lingbot_va.text import clean
from tests.fidelity.cases import given, read
from tests.fidelity.report import ATOL, TABLE_RTOL, Report

NOISE = ATOL / 10
"""In normalised units; of returned commands whose unit is a fraction of their range (degrees), more than ATOL."""


class Reset(msgspec.Struct, frozen=True, tag_field="op", tag="reset"):
    prompt: str


class Infer(msgspec.Struct, frozen=True, tag_field="op", tag="infer"):
    chunk: int
    frame_st_id: int


class Feedback(msgspec.Struct, frozen=True, tag_field="op", tag="compute_kv_cache"):
    chunk: int
    state: str
    """Name of the tensor with the executed commands."""
    keyframes: tuple[int, int] | None = None
    """First and one past the last; None or an empty range: no further frame was executed."""


class RecordedCall(msgspec.Struct, frozen=True):
    """A forward of the original's transformer."""

    serial: int
    tag: str
    kind: Literal["video", "action"]
    update_cache: Literal[0, 1, 2]
    batch: int
    timesteps: list[float]
    frame_start: int
    tokens: int
    attended: list[tuple[int, int]]
    evicted: int


class Case(msgspec.Struct, frozen=True):
    """What is read of a case file."""

    model: str
    config: dict[str, Any]
    """With the original's names."""
    prompt: str
    prompt_clean: str
    mode: Literal["server", "i2va"]
    dtype: Literal["torch.float32", "torch.bfloat16"]
    events: list[Reset | Infer | Feedback]
    calls: list[RecordedCall]


class Replay:
    """Drives one session through the events of a case; also the session's trace."""

    def __init__(self, path: Path, *, exact: bool, model: str | None = None) -> None:
        """``model``: another folder beside the case than it names.

        Raises BadInput, NotReady, BadCheckpoint.
        """
        self.case, self.tensors = read(path, Case, "rollout")
        first, *others = map(type, self.case.events)
        if first is not Reset or others[:1] != [Infer] or Reset in others:
            raise BadInput("no recorded rollout: the events are not one reset, a first infer and what follows")
        self.exact = exact
        half = self.case.dtype == "torch.bfloat16"
        self.report = Report(half)
        self._recorded = {call.tag: call for call in self.case.calls}
        self._made: list[str] = []
        self.open_loop = any(
            isinstance(now, Infer) and not isinstance(then, Feedback)
            for now, then in pairwise([*self.case.events, None])
        )  # somebody reads what was predicted
        self.sessions = Sessions.from_pretrained(
            str(path.parent / (model or self.case.model)),
            from_upstream(self.case.config),
            dtype="bfloat16" if half else "float32",
            exact=exact,
        )
        self.model = self.sessions.model
        self.session = self.sessions.new(open_loop=self.open_loop, trace=self, noise=self._noise)

    def run(self) -> Report:
        self._texts()
        self._schedules()
        imagined = []
        for event in self.case.events:
            if isinstance(event, Reset):
                self.session.reset(event.prompt, seed=0)  # the noise is recorded
            elif isinstance(event, Infer):
                self.report.equal("chunk", len(imagined), event.chunk)
                imagined.append(self._infer(event))
            else:
                self._feedback(event)
        self.compare_calls()
        self._final_pool()
        if self.case.mode == "i2va" or "decoded_video" in self.tensors:
            self._video(torch.cat(imagined, dim=2))
        if not self.report.compared:
            self.report.differences.append("nothing that was computed is in the case")
        return self.report

    def _noise(self, chunk: int) -> Noise:
        settings, shape = self.model.settings, self.model.transformer.shape
        frames, per_frame = settings.frames, settings.commands_per_frame
        return (
            given(self.tensors, f"chunk{chunk}/noise/latents", 1, shape.in_channels, frames, *settings.latent_size),
            given(self.tensors, f"chunk{chunk}/noise/actions", 1, shape.action_dim, frames, per_frame, 1),
        )

    def _texts(self) -> None:
        self.report.equal("cleaned prompt", clean(self.case.prompt), self.case.prompt_clean)
        for name, text in (("prompt", self.case.prompt), ("negative", "")):
            self.report.listed(f"text/{name}_ids", self.model.text.ids(text), self.tensors.get(f"text/{name}_ids"))
            if name == "prompt" or self.model.settings.rows == 2:
                full = f"text/{name}_embeds"
                self.report.close("text embedding", full, self.model.text.embed(text), self.tensors.get(full))

    def _schedules(self) -> None:
        for stream, plan in (("video", self.model.video_plan), ("action", self.model.action_plan)):
            for part, got in (("sigmas", plan.sigmas), ("timesteps", plan.timesteps)):
                name = f"scheduler/{stream}_{part}"
                self.report.close("scheduler", name, torch.tensor(got), self.tensors.get(name), TABLE_RTOL, 1e-12)

    def _infer(self, event: Infer) -> torch.Tensor:
        """The imagined latents."""
        first = event.frame_st_id == 0
        self.report.equal(f"chunk{event.chunk} frame", self.session.state.frame, event.frame_st_id)
        imagined = self.session.infer(self._images(0, 1) if first else None)
        if self.case.mode == "server":
            self.session.state.frame = event.frame_st_id  # the original's server goes on from real frames only
        latents, chunk = imagined.latents, f"chunk{event.chunk}"
        self.report.close("latents", f"{chunk}/latents", latents, self.tensors.get(f"{chunk}/latents"))
        wanted = self.tensors.get(f"{chunk}/actions")
        self.report.close("actions", f"{chunk}/actions", imagined.commands, wanted, atol=self._command_tolerance())
        return latents

    def _command_tolerance(self) -> torch.Tensor:
        """(n_used, 1, 1) in the robot's units."""
        settings = self.model.settings
        low, high = (
            torch.tensor(values)[list(settings.channels), None, None] for values in (settings.q01, settings.q99)
        )
        return (NOISE * (high - low).abs() / 2).clamp(min=ATOL)

    def _feedback(self, event: Feedback) -> None:
        first, last = event.keyframes or (0, 0)
        images = None if first == last else self._images(first, last)
        settings = self.model.settings
        state = given(self.tensors, event.state, len(settings.channels), None, settings.commands_per_frame)
        self.session.feedback(images, state.numpy())

    def _images(self, first: int, last: int) -> dict[str, np.ndarray]:
        found = {}
        for name, key in self.model.settings.cameras.items():
            images = given(self.tensors, f"keyframes/{key}", None, None, None, 3)
            if images.dtype != torch.uint8 or not images.numel() or not 0 <= first < last <= len(images):
                held = f"{tuple(images.shape)} {images.dtype}"
                raise BadInput(f"its tensor keyframes/{key} is {held}; wanted are {first} to {last} of uint8")
            found[name] = images[first:last].numpy()
        return found

    def encoded(self, name: str, pixels: torch.Tensor, output: torch.Tensor) -> None:
        for part, got in (("pixels", pixels[..., :2, :]), ("enc_out", output)):
            self.report.close(f"VAE {part}", f"{name}/{part}", got, self.tensors.get(f"{name}/{part}"))

    def called(self, call: Call) -> None:
        self._made.append(call.name)
        recorded = self._recorded.get(call.name)
        if recorded is None:
            self.report.differences.append(f"{call.name}: not recorded")
            return
        attended = [(self._serial(name), tokens) for name, tokens in call.attended]
        self.report.equal(f"{call.name} attended", attended, recorded.attended)
        self.report.equal(f"{call.name} evicted", call.evicted, recorded.evicted)
        self.report.equal(f"{call.name} frame_start", call.frame_start, recorded.frame_start)
        self.report.equal(f"{call.name} kept", call.kept, recorded.update_cache > 0)
        self.report.equal(f"{call.name} stream", call.stream, recorded.kind)
        self.report.equal(f"{call.name} tokens", call.grid.shape[1], recorded.tokens)
        if self.exact:
            self.report.equal(f"{call.name} batch", call.rows, recorded.batch)
        self.report.equal(f"{call.name} times", len(call.times), len(recorded.timesteps))
        if not all(abs(a - b) <= TABLE_RTOL * abs(b) for a, b in zip(call.times, recorded.timesteps, strict=False)):
            self.report.differences.append(f"{call.name} times: {call.times}, recorded {recorded.timesteps}")
        self._call_tensors(call)

    def _serial(self, name: str) -> int | str:
        return self._recorded[name].serial if name in self._recorded else name

    def _call_tensors(self, call: Call) -> None:
        self.report.close("call input", f"{call.name}/in", call.input, self.tensors.get(f"{call.name}/in"))
        if call.name == "chunk0/video/step0":
            name = "chunk0/init_latent"
            self.report.close("first frame", name, call.input[:, :, :1], self.tensors.get(name))
        if call.name.endswith(("/step0", "/kv/video", "/kv/action")):
            wanted = self.tensors.get(f"{call.name}/grid_id")
            self.report.close(
                "grid", f"{call.name}/grid_id", call.grid, None if wanted is None else wanted[:3], TABLE_RTOL, 0
            )
        if call.output is not None:
            self._rows(f"{call.stream} output", f"{call.name}/out", call.output, call.rows)
        if call.kept:
            for layer in range(self.model.transformer.shape.num_layers):
                keys, values = call.cache.newest(layer, call.grid.shape[1], call.rows)
                self._rows("keys", f"{call.name}/new_k.layer{layer}", keys, call.rows)
                self._rows("values", f"{call.name}/new_v.layer{layer}", values, call.rows)

    def _rows(self, kind: str, name: str, got: torch.Tensor, rows: int) -> None:
        """Of the recorded batch rows only the first ``rows`` were computed."""
        wanted = self.tensors.get(name)
        if wanted is not None:
            wanted = wanted[:rows]
            got = got.reshape(wanted.shape) if got.numel() == wanted.numel() else got  # patches beside tokens
        self.report.close(kind, name, got, wanted)

    def compare_calls(self, *, last: int | None = None) -> None:
        """Exact: every recorded call was made, in order. Fast: predictions that feedback drops unread are missing.
        last: the last recorded calls, so many, were not asked for."""
        wanted = [
            call.tag
            for call in self.case.calls
            if self.exact or self.open_loop or not (call.kind == "action" and call.update_cache == 1)
        ]
        self.report.equal("calls", self._made, wanted[: -last if last else None])

    def _final_pool(self) -> None:
        cache = self.session.state.cache
        for part, got in zip(("serial", "token", "is_pred"), zip(*cache.tokens(), strict=True), strict=True):
            name = f"final_pool/{part}"
            own = {"serial": self._serial, "token": int, "is_pred": lambda real: not real}[part]
            self.report.listed(name, [own(value) for value in got], self.tensors.get(name))
        for layer in range(self.model.transformer.shape.num_layers):
            for part, values in zip("kv", cache.contents(layer), strict=True):
                name = f"final_pool/{part}.layer{layer}"
                self.report.close("final pool", name, values, self.tensors.get(name))

    def _video(self, latents: torch.Tensor) -> None:
        shape, frames, wanted = (self.tensors.get(f"decoded_video{part}") for part in ("_shape", "_frames", ""))
        if wanted is None or frames is None:
            self.report.missing.append("decoded_video")
            return
        video = self.model.vision.decode(latents)
        self.report.listed("decoded_video_shape", list(video.shape), shape)
        chosen = [frame for frame in frames.tolist() if 0 <= frame < len(video)]
        self.report.close("decoded video", "decoded_video", video[chosen], wanted)
