"""Environments: by benchmark those that run in the simulator's process, and ``remote.RemoteEnv`` around any of them."""
