"""What a user can do something about. The message of each is the one line that is printed."""


class InputError(Exception):
    """A bad option or input: exit status 2."""

    def __init__(self, message):
        super().__init__("".join(letter if letter.isprintable() else " " for letter in message))


class TrainingError(Exception):
    """The training cannot go on: exit status 1."""
