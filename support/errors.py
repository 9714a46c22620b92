"""What a user can do something about. The message of each is the one line that is printed."""


def one_line(text):
    """`text` as one line: a space in place of each character that is not printable, such as a line feed."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


class InputError(Exception):
    """A bad option or input: exit status 2."""

    def __init__(self, message):
        super().__init__(one_line(message))


class TrainingError(Exception):
    """The training cannot go on: exit status 1."""
