"""Converts the text of an option to its value, for argparse. Each function raises ArgumentTypeError."""

import argparse

from support.labels import read_labels

LONGEST_NUMBER = 100  # digits that the step "write" writes in a line


def whole_number(least, most):
    """A function that converts text to a whole number from `least` to `most`."""

    def read(text):
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not in the range {least} to {most}")
        return value

    return read


def positive_number(text):
    """Converts text to a number above 0, at most 1e9."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < value <= 1e9:  # NaN is refused, too
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0 and at most 1e+09")
    return value


def whole_numbers(text):
    """Converts text such as "1,2,3" to two or more whole numbers, a tuple."""
    read = whole_number(0, 2**31 - 1)
    numbers = tuple(read(part) for part in text.split(","))
    if len(numbers) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is one number; give two or more, as in 1,2,3")
    return numbers


def digits(text):
    """Converts text such as "7", "3,5" or "0-4" to a tuple of whole numbers."""
    try:
        return read_labels(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def array_path(text):
    """`text` if it can be the path of an .npz file."""
    if not path(text).endswith(".npz"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end with .npz")
    return text


def number(text):
    """`text` if it is a number that can be written."""
    if not (text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 1 to {LONGEST_NUMBER} digits")
    return text


def shard(text):
    """Converts text of the form I/N to a pair of whole numbers, I from 1 to N."""
    part, slash, parts = text.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form I/N with I from 1 to N, as in 2/8")
    return int(part), int(parts)


def path(text):
    """`text` if it can be a path, for argparse: not empty and without a zero byte."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not a path")
    return text
