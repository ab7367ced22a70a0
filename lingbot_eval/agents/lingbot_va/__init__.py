"""LingBot-VA in process: observe, imagine the next video latents, act, feed the real frames and commands back.

    agent.py  LingBotVA (weights) ─► Session (one episode)      READ FIRST
      ├─ text.py         prompt ─► token ids ─► UMT5 embedding
      ├─ vision.py       pictures ─► latents (streaming VAE encoder) and back
      ├─ sampling.py     the two denoising loops, as functions of tensors
      │    └─ transformer.py   one forward of one stream  ─► cache.py (keys and values of the episode so far)
      ├─ scaling.py      commands in robot units ◄─► 30 normalised channels
      ├─ settings.py     the numbers that a checkpoint was trained with (``conf/agent/lingbot-va/``)
      └─ loading.py      files ─► tensors, all of them or none

Importing this package costs no torch; its modules do.
"""
