"""The scripted expert for LIBERO."""
