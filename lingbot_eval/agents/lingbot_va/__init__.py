"""LingBot-VA in process: it observes, imagines the next video latents, acts, and takes the real frames and commands in.

    sessions.py   what all sessions of a model share: its weights, what is computed once    READ FIRST
      └─ session.py      one episode after another: infer, feedback
           ├─ forwards.py     the transformer for several sessions at once; the fast way and the exact one
           ├─ batching.py     sessions in threads meet for a forward; graphs.py: one alone is replayed on a GPU
           └─ imagination.py  what was imagined beside what came; imagine.py: without a simulator
    memory.py     what all this occupies, before anything is loaded

    models/lingbot_va/
      model.py           the loaded weights
      ├─ text.py         instruction ─► token ids ─► UMT5 embedding
      ├─ vision.py       pictures ─► latents (streaming VAE encoder) and back
      ├─ sampling.py     the two denoising loops, as functions of tensors
      ├─ transformer.py  one forward of one stream ─► attention.py ─► key_value_cache.py, or whatever else attends
      ├─ normalisation.py  commands in robot units ◄─► 30 normalised channels
      └─ checkpoint.py   where the files lie; loading.py: files ─► tensors, all of them or none
    settings/lingbot_va.py  the numbers that a checkpoint was trained with (``conf/agent/lingbot-va/``)

Importing these packages costs no torch; their modules do.
"""
