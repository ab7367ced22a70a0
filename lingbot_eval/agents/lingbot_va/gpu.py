"""Says which GPU the model computes on."""

from __future__ import annotations

import torch


def described(device: str) -> dict[str, str]:
    """Return its name, and the versions of CUDA (AMD: HIP) and cuDNN that torch brings."""
    return {
        "gpu": torch.cuda.get_device_name(device),
        "cuda": str(torch.version.cuda or torch.version.hip),
        "cudnn": str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
    }
