"""Names of files and folders on the command line: what no place can have is said before anything is done."""

from __future__ import annotations

import argparse
import os
import stat


def place(text: str) -> str:
    """Return ``text``, as the type of an argument. Raises ArgumentTypeError for what names nothing."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name")
    if "\0" in text:
        raise argparse.ArgumentTypeError("a name with a NUL character")
    return text


def text_place(text: str) -> str:
    """Return ``text``: a place that other processes are told of, or that libraries open, which take UTF-8 alone. Raises
    ArgumentTypeError for other text."""
    if any("\ud800" <= letter <= "\udfff" for letter in place(text)):  # as Python has a byte that is none
        raise argparse.ArgumentTypeError(f"{text} is not UTF-8; choose another name")
    return text


def content(text: str) -> str:
    """Return ``text``: a place that is to be read. Raises ArgumentTypeError for a pipe or a device, which may never say
    anything."""
    try:
        kind = os.stat(place(text)).st_mode
    except OSError:
        return text  # who reads it says what is missing
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise argparse.ArgumentTypeError(f"{text} is neither a file nor a folder")
    return text


def refused(error: OSError) -> str:
    """Return what the system said, with the place it said it of."""
    where = f"{error.filename}: " if error.filename is not None else ""
    return f"{where}{error.strerror or error}"
