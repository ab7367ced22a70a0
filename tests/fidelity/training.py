"""Replays a recorded training step: what was random is injected, and everything that follows from it is compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import torch
from torch import Tensor

from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va import loading
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.masks import Layout, needed, seen, whole
from lingbot_eval.models.lingbot_va.noising import LEVELS, Batch, Draw, Draws, Half, Levels, Noised, applied
from lingbot_eval.models.lingbot_va.padding import MAX_TOKENS
from lingbot_eval.models.lingbot_va.training import Predicted, Trainable, compared
from lingbot_eval.models.lingbot_va.transformer import PATCH, action_grid, video_grid
from lingbot_eval.settings import Count
from lingbot_eval.settings.noising import Noising
from tests.fidelity.cases import given, read
from tests.fidelity.report import TABLE_RTOL, Report

LOSS_RTOL, GRADIENT_RTOL = 1e-5, 1e-4
NOISED_ATOL = 2e-6
"""Noise is had back as target plus data, which rounds."""

Shift = Annotated[float, msgspec.Meta(gt=0)]


class TrainingCase(msgspec.Struct, frozen=True):
    """What is read of a case file."""

    model: str
    chunk_size: Count
    window_size: Count
    snr_shift: Shift
    action_snr_shift: Shift
    loss_latent: float
    loss_action: float
    grad_norms: dict[str, float | None]
    """By parameter; None: it had no gradient."""
    dtype: Literal["torch.float32", "torch.bfloat16"] = "torch.float32"


def is_training(path: Path) -> bool:
    """Whether a file looks like a training case, sound or not."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and not content.keys().isdisjoint({"grad_norms", "loss_latent", "chunk_size"})


@dataclass(frozen=True)
class Recorded:
    """One stream's part of a case: the data, and what the original made of it."""

    data: Tensor
    times: Tensor
    clean_times: Tensor
    noisy: Tensor
    target: Tensor
    clean: Tensor
    weights: Tensor
    shift: float

    def levels(self, times: Tensor) -> Tensor:
        """The nearest of the schedule's; LEVELS for time 0."""
        known = Levels(self.shift, 0.0).times(torch.arange(LEVELS + 1))
        return (times[..., None] - known).abs().argmin(-1)


class TrainingReplay:
    """Computes one recorded step. exact: on every token, pair by pair; else on those that count, piece by piece."""

    def __init__(self, path: Path, *, exact: bool) -> None:
        """Raises BadInput, NotReady, BadCheckpoint."""
        self.case, self.tensors = read(path, TrainingCase, "training step")
        self.exact, self.report = exact, Report(self.case.dtype == "torch.bfloat16")
        dtype = torch.bfloat16 if self.report.half else torch.float32
        checkpoint = locate(str(path.parent / self.case.model))
        self.model = loading.load_transformer(checkpoint, dtype, torch.device("cpu"))
        self.video, self.actions = self._recorded("latent", "latents"), self._recorded("action", "actions")
        mask = given(self.tensors, "in/actions_mask", *self.actions.data.shape)
        self.batch = Batch(self.video.data, self.actions.data, mask.bool(), self._texts())

    def run(self) -> Report:
        everything = self.layout(whole)
        layout = everything if self.exact else self.layout(needed)
        self._inputs(everything)
        self._mask(everything)
        self._grids(everything)
        step = self.step(layout)
        predicted = Trainable(self.model, "dense" if self.exact else "chunks").predict(step)
        self._predictions(predicted, layout)
        self._losses(predicted, step)
        return self.report

    def _recorded(self, stream: str, data: str) -> Recorded:
        """Raises BadInput."""
        shape, video = self.model.shape, stream == "latent"
        channels = shape.in_channels if video else shape.action_dim
        shape_in = given(self.tensors, f"in/{data}", None, channels, None, None, None).shape
        if video and (shape_in[3] % PATCH or shape_in[4] % PATCH):
            raise BadInput(f"its tensor in/latents is {tuple(shape_in)}: rows and columns must be even")
        if not video and (shape_in[0], shape_in[2], shape_in[4]) != (*self._samples_and_frames(), 1):
            raise BadInput(f"its tensor in/actions is {tuple(shape_in)}, its latents have other samples or frames")
        per_frame = (shape_in[0], shape_in[2])
        part = f"{stream}_dict"
        return Recorded(
            given(self.tensors, f"in/{data}", *shape_in),
            given(self.tensors, f"{part}/timesteps", *per_frame),
            given(self.tensors, f"{part}/cond_timesteps", *per_frame),
            given(self.tensors, f"{part}/noisy_latents", *shape_in),
            given(self.tensors, f"{part}/targets", *shape_in),
            given(self.tensors, f"{part}/latent", *shape_in),
            given(self.tensors, f"weights/{stream}_timestep_weight", *per_frame),
            self.case.snr_shift if video else self.case.action_snr_shift,
        )

    def _samples_and_frames(self) -> tuple[int, int]:
        latents = self.tensors["in/latents"]
        return latents.shape[0], latents.shape[2]

    def _texts(self) -> tuple[Tensor, ...]:
        """Raises BadInput."""
        names = (f"in/text_emb.{row}" for row in range(len(self.video.data)))
        texts = tuple(given(self.tensors, name, None, self.model.shape.text_dim) for name in names)
        if max(map(len, texts)) > MAX_TOKENS:
            raise BadInput(f"its texts have up to {max(map(len, texts))} tokens; {MAX_TOKENS} are read")
        return texts

    def layout(self, make: Callable[..., Layout]) -> Layout:
        frames, rows, columns = self.video.data.shape[2:]
        commands = self.actions.data.shape[3]
        return make(frames, (rows, columns), commands, self.case.chunk_size, self.case.window_size)

    def _inputs(self, layout: Layout) -> None:
        """Noise the data by the recorded levels and noise, and compare with what the original read."""
        samples, frames = self._samples_and_frames()
        draws = Draws(
            (0,) * samples,
            frames,
            layout,
            self._draw(self.video),
            self._draw(self.actions),
            self._past(),
        )
        made = applied(self.batch, self._noising(), draws)
        for part, half, recorded in (("latent", made.video, self.video), ("action", made.actions, self.actions)):
            for name, got, wanted in (
                (f"{part}_dict/noisy_latents", half.noisy, recorded.noisy),
                (f"{part}_dict/targets", half.target, recorded.target),
                (f"{part}_dict/latent", half.clean, recorded.clean),
            ):
                self.report.close("noised", name, got, wanted, TABLE_RTOL, NOISED_ATOL)
            for name, got, wanted in (
                (f"{part}_dict/timesteps", half.times, recorded.times),
                (f"{part}_dict/cond_timesteps", half.clean_times, recorded.clean_times),
            ):
                self.report.close("times", name, got, wanted, TABLE_RTOL, 1e-12)
            name = f"weights/{part}_timestep_weight"
            self.report.close("weights", name, half.weights, recorded.weights, LOSS_RTOL, NOISED_ATOL)

    def _noising(self) -> Noising:
        return Noising(
            video_shift=self.case.snr_shift,
            action_shift=self.case.action_snr_shift,
            levels="per-batch",
            weight_floor=0.0,
            history_share=0.5,
            history_from=0.5,
            longest=None,
            chunk=(self.case.chunk_size, self.case.chunk_size),
            window=(self.case.window_size, self.case.window_size),
            forward_dynamics_share=0.0,
            copies=1,
            first_frame="denoised",
            first_actions="raw-zeros",
            video_weight=1.0,
            action_weight=1.0,
        )

    def _draw(self, recorded: Recorded) -> Draw:
        return Draw(recorded.levels(recorded.times), recorded.target + recorded.data)

    def _past(self) -> Draw:
        """Raises BadInput for levels of which the original draws none for the past."""
        video = self.video
        levels = video.levels(video.clean_times)
        if (levels < LEVELS // 2).any() or self.actions.clean_times.any():
            self.report.differences.append("cond_timesteps: the past is noised more than half, or actions are")
        share = (video.clean_times / 1000).view(*video.clean_times.shape[:1], 1, -1, 1, 1)
        noise = (video.clean - (1 - share) * video.data) / share.clamp(min=1e-3)
        return Draw(levels, noise)

    def _mask(self, layout: Layout) -> None:
        """The original lays all samples out in one sequence, part by part, and pads it."""
        name, samples = "attention_mask", len(self.video.data)
        recorded = self.tensors.get(name)
        if recorded is None:
            self.report.missing.append(name)
            return
        count = samples * len(layout)
        if recorded.ndim != 2 or min(recorded.shape) < count:
            raise BadInput(f"its tensor {name} is {tuple(recorded.shape)}, its sequence has {count} tokens")
        allowed, owner = torch.zeros_like(recorded, dtype=torch.bool), seen(layout)
        for sample in range(samples):
            own = self._tokens(layout, sample)
            allowed[own[:, None], own[None]] = owner
        self.report.compared.add(name)
        self.report.equal(f"{name}: pairs that differ", int((allowed != recorded).sum()), 0)

    def _tokens(self, layout: Layout, sample: int) -> Tensor:
        """Where a sample's tokens stand in the original's sequence."""
        samples, start, found = len(self.video.data), 0, []
        for length in layout.lengths:
            found.append(start + sample * length + torch.arange(length))
            start += samples * length
        return torch.cat(found)

    def _grids(self, layout: Layout) -> None:
        frames, rows, columns = self.video.data.shape[2:]
        for part, grid in (
            ("latent", video_grid(0, frames, rows, columns)),
            ("action", action_grid(0, frames, layout.commands)),
        ):
            name = f"{part}_dict/grid_id"
            recorded = self.tensors.get(name)
            wanted = None if recorded is None else recorded[:, :3]
            self.report.close("grid", name, grid.expand(len(self.video.data), -1, -1), wanted, TABLE_RTOL, 0)

    def step(self, layout: Layout) -> Noised:
        """What the original's model read."""
        halves = []
        for recorded, clean in ((self.video, layout.clean_video), (self.actions, layout.clean_actions)):
            kept = list(clean.frames)
            past = recorded.clean[:, :, kept], recorded.clean_times[:, kept]
            halves.append(Half(recorded.noisy, recorded.target, recorded.times, recorded.weights, *past))
        return Noised(layout, *halves, self.batch.mask, self.batch.texts, 1.0, 1.0)

    def _predictions(self, predicted: Predicted, layout: Layout) -> None:
        """In the original's order: video by token, place in the patch and channel, actions by command and channel."""
        samples, channels, frames, rows, columns = predicted.video.shape
        split = predicted.video.reshape(samples, channels, frames, rows // PATCH, PATCH, columns // PATCH, PATCH)
        video = split.permute(0, 2, 3, 5, 4, 6, 1).reshape(samples, -1, channels)
        actions = predicted.actions[..., 0].flatten(2).transpose(1, 2)
        for kind, name, got in (
            ("video output", "out/latent_pred", video),
            ("action output", "out/action_pred", actions),
        ):
            self.report.close(kind, name, got, self.tensors.get(name))

    def _losses(self, predicted: Predicted, step: Noised) -> None:
        found = compared(predicted, step)
        for part, got, recorded in (
            ("latent", found.video, self.case.loss_latent),
            ("action", found.action, self.case.loss_action),
        ):
            self.report.close("losses", f"loss/{part}", got, torch.tensor(recorded), LOSS_RTOL, 0)
        found.total.backward()
        self._gradients()

    def _gradients(self) -> None:
        own = {name: value.grad for name, value in self.model.named_parameters()}
        self._equal_names({name for name, norm in self.case.grad_norms.items() if norm is not None}, own)
        for name, gradient in own.items():
            if gradient is not None and self.case.grad_norms.get(name) is not None:
                wanted = torch.tensor(self.case.grad_norms[name])
                self.report.close("gradient norms", f"gradient of {name}", gradient.norm(), wanted, GRADIENT_RTOL, 1e-9)

    def _equal_names(self, recorded: Iterable[str], own: dict[str, Tensor | None]) -> None:
        had = {name for name, gradient in own.items() if gradient is not None}
        self.report.equal("parameters with a gradient", sorted(had - set(recorded)), [])
        self.report.equal("parameters without a gradient", sorted(set(recorded) - had), [])
