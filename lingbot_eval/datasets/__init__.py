"""What a model is trained on: LeRobot's datasets, the latents of their videos, and the items made of both.

``exports/`` writes such datasets; here they are read.
"""
