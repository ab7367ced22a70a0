"""Post-training: items are drawn, noised and learnt from, by one process or many, and nothing that a crash could lose.

order.py       which items a micro-batch has
batches.py     its tensors: wording, dropped texts, noise
ranks.py       the processes that train together
sharding.py    how the weights are laid out over them, and in which precision they compute
lora.py        adapters instead of weights
optimizer.py   AdamW, its rate, the average of the weights
learner.py     all that changes in a step
state.py       what is kept of it, to go on from
curve.py       what is told of it
loop.py        one step after another, and what is done in between
outcome.py     what comes out
"""
