"""Replay a recorded rollout of the original LingBot-VA and print the largest error of each kind of tensor.

    python tests/fidelity/replay.py CASE.json [--mode fast|exact|both]

Exit status 1: something is beyond the tolerances, or another call was made than recorded. The model is the folder that
the case names, beside the case file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from lingbot_eval.agents.lingbot.agent import Call, LingBotVA, Noise
from lingbot_eval.agents.lingbot.settings import from_upstream
from lingbot_eval.agents.lingbot.text import clean

ATOL, RTOL = 2e-4, 1e-4
"""Ten times what two valid executions of the original differ by."""
TABLE_RTOL = 1e-6
"""Noise schedules."""
BF16_RMS = 0.08
"""Of the standard deviation; what bfloat16 costs is a few per cent, and a bug is more than this."""


@dataclass
class Error:
    """The largest of one kind."""

    count: int = 0
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

    @property
    def passed(self) -> bool:
        if self.half:
            return not self.differences and all(error.rms <= BF16_RMS for error in self.errors.values())
        return not self.differences and all(error.excess <= 1 for error in self.errors.values())

    def close(
        self, kind: str, name: str, got: Any, wanted: torch.Tensor, rtol: float = RTOL, atol: float = ATOL
    ) -> None:
        got, wanted = torch.as_tensor(got).detach().float().cpu(), wanted.float()
        self.compared.add(name)
        if got.shape != wanted.shape:
            self.differences.append(f"{name}: shape {tuple(got.shape)}, recorded {tuple(wanted.shape)}")
            return
        if not got.isfinite().all():
            self.differences.append(f"{name}: not finite")
            return
        off = (got - wanted).abs()
        error = self.errors.setdefault(kind, Error())
        error.count += 1
        excess = float((off / (atol + rtol * wanted.abs())).max())
        if off.max() >= error.largest:
            error.largest, error.where = float(off.max()), name
        error.excess = max(error.excess, excess)
        scale = float(wanted.std(correction=0)) or 1.0
        error.rms = max(error.rms, float(off.square().mean().sqrt()) / scale)

    def equal(self, what: str, got: Any, wanted: Any) -> None:
        if got != wanted:
            self.differences.append(f"{what}: {got}, recorded {wanted}")

    def lines(self) -> Iterator[str]:
        for kind, error in self.errors.items():
            mark = "" if self.half or error.excess <= 1 else "  BEYOND TOLERANCE"
            detail = f"{error.count:4} tensors; rms {error.rms:.1e}; {error.where}"
            yield f"  {kind:18} {error.largest:9.2e}  ({detail}){mark}"
        yield from (f"  DIFFERENT {line}" for line in self.differences[:20])


class Replay:
    """Drives one session through the events of a case; also the session's trace."""

    def __init__(self, path: Path, *, exact: bool, model: str | None = None) -> None:
        """``model``: another folder beside the case than it names."""
        self.case = json.loads(path.read_text())
        self.tensors = load_file(path.with_suffix(".safetensors"))
        self.exact = exact
        half = "bfloat16" in self.case["dtype"]
        self.report = Report(half)
        self._serials = {call["tag"]: call["serial"] for call in self.case["calls"]}
        self._recorded = {call["tag"]: call for call in self.case["calls"]}
        self._made: list[str] = []
        asked = [event["op"] for event in self.case["events"]] + ["end"]
        self.open_loop = any(
            now == "infer" and then != "compute_kv_cache" for now, then in pairwise(asked)
        )  # somebody reads what was predicted
        self.model = LingBotVA.from_pretrained(
            str(path.parent / (model or self.case["model"])),
            from_upstream(self.case["config"]),
            dtype="bfloat16" if half else "float32",
            exact=exact,
        )
        self.session = self.model.session(open_loop=self.open_loop, trace=self, noise=self._noise)

    def _noise(self, chunk: int) -> Noise:
        return self.tensors[f"chunk{chunk}/noise/latents"], self.tensors[f"chunk{chunk}/noise/actions"]

    def run(self) -> Report:
        self._texts()
        self._schedules()
        imagined = []
        for event in self.case["events"]:
            if event["op"] == "reset":
                self.session.reset(event["prompt"], seed=self.case["seed"])
            elif event["op"] == "infer":
                self._infer(event)
                imagined.append(self.session.latents)
            else:
                self._feedback(event)
        self.compare_calls()
        self._final_pool()
        if "decoded_video" in self.tensors:
            video = self.model.vision.decode(torch.cat(imagined, dim=2))
            frames = self.tensors["decoded_video_frames"].tolist()
            self.report.equal("decoded video", list(video.shape), self.tensors["decoded_video_shape"].tolist())
            self.report.close("decoded video", "decoded_video", video[frames], self.tensors["decoded_video"])
        return self.report

    def _texts(self) -> None:
        self.report.equal("cleaned prompt", clean(self.case["prompt"]), self.case["prompt_clean"])
        for name, text in (("prompt", self.case["prompt"]), ("negative", "")):
            self.report.equal(f"{name} ids", self.model.text.ids(text), self.tensors[f"text/{name}_ids"].tolist())
            wanted = self.tensors.get(f"text/{name}_embeds")
            if wanted is not None:
                self.report.close("text embedding", f"text/{name}_embeds", self.model.text.embed(text), wanted)

    def _schedules(self) -> None:
        for stream, plan in (("video", self.model.video_plan), ("action", self.model.action_plan)):
            for part, got in (("sigmas", plan.sigmas), ("timesteps", plan.timesteps)):
                name = f"scheduler/{stream}_{part}"
                self.report.close("scheduler", name, torch.tensor(got), self.tensors[name], TABLE_RTOL, 1e-12)

    def _infer(self, event: dict[str, Any]) -> None:
        chunk = event["chunk"]
        images = self._images(0, 1) if event["frame_st_id"] == 0 else None
        commands = self.session.infer(images)
        assert self.session.latents is not None
        self.report.close(
            "latents", f"chunk{chunk}/latents", self.session.latents, self.tensors[f"chunk{chunk}/latents"]
        )
        self.report.close("actions", f"chunk{chunk}/actions", commands, self.tensors[f"chunk{chunk}/actions"])

    def _feedback(self, event: dict[str, Any]) -> None:
        first, last = event["keyframes"] or (0, 0)
        images = self._images(first, last) if last > first else None
        self.session.feedback(images, self.tensors[event["state"]].numpy())

    def _images(self, first: int, last: int) -> dict[str, np.ndarray]:
        return {
            name: self.tensors[f"keyframes/{key}"][first:last].numpy()
            for name, key in self.model.settings.cameras.items()
        }

    def encoded(self, name: str, pixels: torch.Tensor, output: torch.Tensor) -> None:
        for part, got in (("pixels", pixels[..., :2, :]), ("enc_out", output)):
            if f"{name}/{part}" in self.tensors:
                self.report.close(f"VAE {part}", f"{name}/{part}", got, self.tensors[f"{name}/{part}"])

    def called(self, call: Call) -> None:
        self._made.append(call.name)
        recorded = self._recorded.get(call.name)
        if recorded is None:
            self.report.differences.append(f"{call.name}: not recorded")
            return
        attended = [[self._serials[name], tokens] for name, tokens in call.attended]
        self.report.equal(f"{call.name} attended", attended, recorded["attended"])
        self.report.equal(f"{call.name} evicted", call.evicted, recorded["evicted"])
        self.report.equal(f"{call.name} frame_start", call.frame_start, recorded["frame_start"])
        self.report.equal(f"{call.name} kept", call.kept, recorded["update_cache"] > 0)
        self.report.equal(f"{call.name} stream", call.stream, recorded["kind"])
        self.report.equal(f"{call.name} tokens", call.grid.shape[1], recorded["tokens"])
        if self.exact:
            self.report.equal(f"{call.name} batch", call.rows, recorded["batch"])
        got, wanted = np.array(call.times), np.array(recorded["timesteps"])
        if not np.allclose(got, wanted, rtol=TABLE_RTOL, atol=0):
            self.report.differences.append(f"{call.name} times: {got}, recorded {wanted}")
        self._call_tensors(call)

    def _call_tensors(self, call: Call) -> None:
        if (name := f"{call.name}/in") in self.tensors:
            self.report.close("call input", name, call.input, self.tensors[name])
        if (name := f"{call.name}/grid_id") in self.tensors:
            self.report.close("grid", name, call.grid, self.tensors[name][:3], TABLE_RTOL, 0)
        if call.output is not None and (name := f"{call.name}/out") in self.tensors:
            wanted = self.tensors[name][: call.rows]
            self.report.close(f"{call.stream} output", name, call.output.reshape(wanted.shape), wanted)
        if not call.kept:
            return
        for layer in range(self.model.transformer.shape.num_layers):
            name = f"{call.name}/new_k.layer{layer}"
            if name in self.tensors:
                keys, values = call.pool.newest(layer, call.grid.shape[1], call.rows)
                self.report.close("keys", name, keys, self.tensors[name][: call.rows])
                name = f"{call.name}/new_v.layer{layer}"
                self.report.close("values", name, values, self.tensors[name][: call.rows])

    def compare_calls(self, *, last: int | None = None) -> None:
        """Exact: every recorded call was made, in order. Fast: predictions that feedback drops unread are missing.
        last: the last recorded calls, so many, were not asked for."""
        wanted = [
            call["tag"]
            for call in self.case["calls"]
            if self.exact or self.open_loop or not (call["kind"] == "action" and call["update_cache"] == 1)
        ]
        self.report.equal("calls", self._made, wanted[: -last if last else None])

    def _final_pool(self) -> None:
        if "final_pool/serial" not in self.tensors:
            return
        pool = self.session.pool
        got = [(self._serials[name], token, not real) for name, token, real in pool.tokens()]
        parts = (self.tensors[f"final_pool/{part}"].tolist() for part in ("serial", "token", "is_pred"))
        wanted = list(zip(*parts, strict=True))
        self.report.equal("final pool", got, wanted)
        for layer in range(self.model.transformer.shape.num_layers):
            for part, values in zip("kv", pool.contents(layer), strict=True):
                name = f"final_pool/{part}.layer{layer}"
                if name in self.tensors:
                    self.report.close("final pool", name, values, self.tensors[name])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=Path)
    parser.add_argument("--mode", choices=("fast", "exact", "both"), default="both")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    passed = True
    for mode in ("fast", "exact") if given.mode == "both" else (given.mode,):
        report = Replay(given.case, exact=mode == "exact").run()
        print(f"{given.case.stem}, {mode}: {'within tolerance' if report.passed else 'NOT EQUAL'}")
        print("\n".join(report.lines()))
        passed = passed and report.passed
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
