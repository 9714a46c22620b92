"""Errors that a user can fix. The message is the one line that is printed."""


def one_line(text):
    """`text` as one line: each character that is not printable, such as a line feed, becomes a space."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


class InputError(Exception):
    """A bad option or input: exit status 2."""

    def __init__(self, message):
        super().__init__(one_line(message))


class TrainingError(Exception):
    """Training cannot continue: exit status 1."""
