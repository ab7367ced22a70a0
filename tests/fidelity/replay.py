"""Replay a recorded rollout of the original LingBot-VA and print the largest error of each kind of tensor.

    python tests/fidelity/replay.py CASE.json [--mode fast|exact|both] [--threads N]

Exit status 1: something is beyond the tolerances, or another call was made than recorded; 2: the case cannot be
replayed, and one line says why. The model is the folder that the case names, beside the case file.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from lingbot_eval.agents.lingbot_va.session import Call, Noise
from lingbot_eval.agents.lingbot_va.sessions import Sessions
from lingbot_eval.errors import BadInput, LingbotEvalError
from lingbot_eval.models.lingbot_va.configuration import from_upstream
from lingbot_eval.models.lingbot_va.text import clean

ATOL, RTOL = 2e-4, 1e-4
"""Ten times what two valid executions of the original differ by."""
NOISE = ATOL / 10
"""In normalised units; of returned commands whose unit is a fraction of their range (degrees), more than ATOL."""
TABLE_RTOL = 1e-6
"""Noise schedules."""
BF16_RMS = 0.08
"""Of the standard deviation; what bfloat16 costs is a few per cent, and a bug is more than this."""

INPUTS = r"keyframes/|/noise/|/kv/state$|decoded_video_(frames|shape)$"
"""What a case is replayed from."""
LISTED = r"text/.*_ids$|final_pool/(serial|token|is_pred)$"
"""Compared as lists."""
SLOT_TABLES = r"/cache_(mask|id|is_pred|mask_after_clear_pred)$"
"""Where the original keeps its tokens is its own affair; what is attended to is compared call by call."""


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


def read(path: Path) -> tuple[Case, dict[str, torch.Tensor]]:
    """A case and the tensors beside it.

    Raises BadInput.
    """
    beside = path.with_suffix(".safetensors")
    for file in (path, beside):
        if not file.is_file():
            raise BadInput(f"there is no file {file}")
    try:
        case, tensors = msgspec.json.decode(path.read_bytes(), type=Case), load_file(beside)
    except msgspec.DecodeError as error:
        raise BadInput(f"no recorded rollout: {error}") from None
    except SafetensorError as error:
        raise BadInput(f"{beside} cannot be read: {error}") from None
    if [type(event) for event in case.events[:2]] != [Reset, Infer] or Reset in map(type, case.events[1:]):
        raise BadInput("no recorded rollout: the events are not one reset, a first infer and what follows")
    return case, tensors


@dataclass
class Error:
    """The largest of one kind."""

    count: int = 0
    identical: int = 0
    """Bit by bit."""
    largest: float = 0.0
    where: str = ""
    excess: float = 0.0
    """Largest error / its tolerance."""
    rms: float = 0.0
    """Largest relative root mean square."""


@dataclass
class Report:
    """Errors by kind of tensor, and what differs that should be equal."""

    half: bool
    """bfloat16: values are informative, structure is not."""
    errors: dict[str, Error] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    compared: set[str] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)
    """Computed here, and not recorded."""

    @property
    def passed(self) -> bool:
        if self.half:
            return not self.differences and all(error.rms <= BF16_RMS for error in self.errors.values())
        return not self.differences and all(error.excess <= 1 for error in self.errors.values())

    def close(
        self,
        kind: str,
        name: str,
        got: Any,
        wanted: torch.Tensor | None,
        rtol: float = RTOL,
        atol: float | torch.Tensor = ATOL,
    ) -> None:
        if wanted is None:
            self.missing.append(name)
            return
        got, wanted = torch.as_tensor(got).detach().float().cpu(), wanted.float()
        self.compared.add(name)
        if got.shape != wanted.shape:
            self.differences.append(f"{name}: shape {tuple(got.shape)}, recorded {tuple(wanted.shape)}")
            return
        if not got.isfinite().all() or not wanted.isfinite().all():
            self.differences.append(f"{name}: not finite")
            return
        off = (got - wanted).abs()
        error = self.errors.setdefault(kind, Error())
        error.count += 1
        error.identical += torch.equal(got, wanted)
        if not off.numel():
            return
        excess = float((off / (atol + rtol * wanted.abs())).max())
        if off.max() >= error.largest:
            error.largest, error.where = float(off.max()), name
        error.excess = max(error.excess, excess)
        scale = float(wanted.std(correction=0)) or 1.0
        error.rms = max(error.rms, float(off.square().mean().sqrt()) / scale)

    def equal(self, what: str, got: Any, wanted: Any) -> None:
        if got != wanted:
            self.differences.append(f"{what}: {got}, recorded {wanted}")

    def listed(self, name: str, got: list[Any], wanted: torch.Tensor | None) -> None:
        if wanted is None:
            self.missing.append(name)
        else:
            self.equal(name, got, wanted.tolist())

    def left(self, recorded: Iterable[str]) -> list[str]:
        """Names of recorded tensors that nothing was compared with, other than those that need no comparison."""
        rest = set(recorded) - self.compared
        return sorted(name for name in rest if not re.search(f"{INPUTS}|{LISTED}|{SLOT_TABLES}", name))

    def lines(self, recorded: Iterable[str] = ()) -> Iterator[str]:
        for kind, error in self.errors.items():
            mark = "" if self.half or error.excess <= 1 else "  BEYOND TOLERANCE"
            detail = f"{error.count:4} tensors, {error.identical:4} identical; rms {error.rms:.1e}; {error.where}"
            yield f"  {kind:18} {error.largest:9.2e}  ({detail}){mark}"
        yield from (f"  DIFFERENT {line}" for line in self.differences[:20])
        if len(self.differences) > 20:
            yield f"  DIFFERENT and {len(self.differences) - 20} more"
        for what, names in (("not recorded", self.missing), ("not computed here", self.left(recorded))):
            if names:
                yield f"  {what}: {_summary(names)}"


def _summary(names: Iterable[str]) -> str:
    """How many of each kind, chunks, steps and layers aside."""
    kinds = Counter(re.sub(r"(chunk|step|layer)\d+", r"\1*", name) for name in names)
    return ", ".join(f"{kind} ({count})" for kind, count in sorted(kinds.items()))


class Replay:
    """Drives one session through the events of a case; also the session's trace."""

    def __init__(self, path: Path, *, exact: bool, model: str | None = None) -> None:
        """``model``: another folder beside the case than it names.

        Raises BadInput, NotReady, BadCheckpoint.
        """
        self.case, self.tensors = read(path)
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

    def _given(self, name: str, *shape: int | None) -> torch.Tensor:
        """A tensor that the case is replayed from; None in ``shape``: any size.

        Raises BadInput.
        """
        tensor = self.tensors.get(name)
        if tensor is None:
            raise BadInput(f"it lacks the tensor {name}, from which it is replayed")
        fits = len(shape) == tensor.ndim and all(
            size in (None, own) for size, own in zip(shape, tensor.shape, strict=True)
        )
        if not fits:
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise BadInput(f"its tensor {name} is {tuple(tensor.shape)}, its configuration says ({wanted})")
        return tensor

    def _noise(self, chunk: int) -> Noise:
        settings, shape = self.model.settings, self.model.transformer.shape
        frames, per_frame = settings.frames, settings.commands_per_frame
        return (
            self._given(f"chunk{chunk}/noise/latents", 1, shape.in_channels, frames, *settings.latent_size),
            self._given(f"chunk{chunk}/noise/actions", 1, shape.action_dim, frames, per_frame, 1),
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
        state = self._given(event.state, len(settings.channels), None, settings.commands_per_frame)
        self.session.feedback(images, state.numpy())

    def _images(self, first: int, last: int) -> dict[str, np.ndarray]:
        found = {}
        for name, key in self.model.settings.cameras.items():
            images = self._given(f"keyframes/{key}", None, None, None, 3)
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


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=Path)
    parser.add_argument("--mode", choices=("fast", "exact", "both"), default="both")
    parser.add_argument("--threads", type=int, default=1, help="identical bits need as many as recorded with")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    passed = True
    for mode in ("fast", "exact") if given.mode == "both" else (given.mode,):
        try:
            replay = Replay(given.case, exact=mode == "exact")
            report = replay.run()
        except LingbotEvalError as error:
            print(f"replay: {given.case}: {error}", file=sys.stderr)
            return 2
        print(f"{given.case.stem}, {mode}: {'within tolerance' if report.passed else 'NOT EQUAL'}")
        print("\n".join(report.lines(replay.tensors)))
        passed = passed and report.passed
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
