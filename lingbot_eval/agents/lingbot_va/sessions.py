"""Sessions of one model share its weights, what is computed once for all episodes, and forwards that several of them
make together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from lingbot_eval.agents.lingbot_va.batching import Batcher
from lingbot_eval.agents.lingbot_va.forwards import Exact, Fast
from lingbot_eval.agents.lingbot_va.graphs import Graphs
from lingbot_eval.agents.lingbot_va.kind import speaks
from lingbot_eval.agents.lingbot_va.session import Noise, Session, Trace
from lingbot_eval.agents.speaks import require
from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va.attention import Prompt
from lingbot_eval.models.lingbot_va.key_value_cache import KeyValueCache
from lingbot_eval.models.lingbot_va.model import LingBotVA
from lingbot_eval.settings.lingbot_va import LingBotSettings
from lingbot_eval.types import EnvSpec


class Sessions:
    """Makes the sessions that play with a model."""

    def __init__(self, model: LingBotVA, *, exact: bool = False, graphs: bool = False) -> None:
        """exact: the original's shapes and order of operations; without it, the same within rounding and faster.
        graphs: CUDA graphs for a session that computes alone (``graphs.py``). The model's weights must not change any
        more: what is computed from them once is kept.
        """
        self.model, self.exact = model, exact
        self.forwards = Exact(model.transformer) if exact else Fast(model.transformer)
        self.batcher = Batcher(
            self.forwards, together=self.forwards.together, graphs=Graphs(self.forwards) if graphs else None
        )
        self._prompts: dict[str, Prompt] = {}

    @classmethod
    def from_pretrained(
        cls,
        path: str,
        settings: LingBotSettings,
        *,
        parts: str | None = None,
        dtype: Literal["bfloat16", "float32"] = "bfloat16",
        device: str = "cpu",
        text_device: str | None = None,
        vae_device: str | None = None,
        exact: bool = False,
        graphs: bool = False,
    ) -> Sessions:
        """Load a model as :meth:`LingBotVA.from_pretrained` does, for a way of playing as the constructor says; graphs
        come with a channels-last VAE.

        Raises NotReady, BadInput, BadCheckpoint.
        """
        if graphs and not (device.startswith("cuda") and not exact):
            raise BadInput(f"graphs=true needs device=cuda and exact=false, not device={device}, exact={exact}")
        model = LingBotVA.from_pretrained(
            path,
            settings,
            parts=parts,
            dtype=dtype,
            device=device,
            text_device=text_device,
            vae_device=vae_device,
            padded=exact,
            channels_last=graphs,
        )
        return cls(model, exact=exact, graphs=graphs)

    def check_env(self, spec: EnvSpec) -> None:
        """Raise BadInput where an environment has other cameras or commands than the checkpoint was trained on."""
        require(speaks(self.model.settings), spec, "this checkpoint of LingBot-VA")

    def new(
        self, *, open_loop: bool = False, trace: Trace | None = None, noise: Callable[[int], Noise] | None = None
    ) -> Session:
        """Make a session, which plays one episode at a time; several may play in threads of their own, and forwards of
        the same kind are then run together (``batching.py``). open_loop: predictions follow each other without
        feedback, so what only they would read is computed too. noise: gives a chunk's noise instead of the session's
        own generator."""
        return Session(self, open_loop=open_loop, trace=trace, noise=noise)

    def cache(self) -> KeyValueCache:
        """Make a session's cache; its memory is free again when nobody holds it any more."""
        model, shape = self.model, self.model.transformer.shape
        return self.forwards.cache(
            layers=shape.num_layers,
            rows=model.settings.rows,
            slots=model.settings.slots,
            heads=shape.num_attention_heads,
            head_dim=shape.attention_head_dim,
            dtype=model.dtype,
            device=model.device,
        )

    def prompt(self, instruction: str) -> Prompt:
        """Return keys and values of an instruction (and of the negative prompt) in every layer; the last one is
        kept."""
        known = self._prompts.get(instruction)  # read once: sessions in other threads replace it
        if known is None:
            texts = [instruction, ""][: self.model.settings.rows]
            embeddings = [self.model.text.embed(text).to(self.model.device) for text in texts]
            known = self.forwards.prompt(embeddings)
            self._prompts = {instruction: known}
        return known
