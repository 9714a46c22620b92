"""Digits on request from a generator without labels: draws many, keeps those that the classifier is sure of."""

from collections import deque

from support.errors import DrawingError
from support.evaluation import classifier
from support.evaluation.definitions import CONFIDENT
from support.lazy import np

PATIENCE = 50_000  # digits to draw without finding the next one


def keep(parts, digits, numbers):
    """Yields the digits with these numbers, a range, in parts: uint8 [n, 28, 28].

    parts: an endless iterator of drawn digits, uint8 [n, 28, 28]. digits: what to keep, in turn: digit i is the next
    one that the classifier reads as digits[i % len(digits)] with a confidence above CONFIDENT. Raises DrawingError if
    it does not come in PATIENCE drawn digits.
    """
    model, number, unused = classifier.load(), 0, 0
    waiting = {digit: deque() for digit in digits}
    for part in parts:
        found, ready = classifier.classify(model, part), []
        for image in np.flatnonzero(found.confidences > CONFIDENT):
            if found.labels[image] in waiting and len(waiting[found.labels[image]]) < numbers.stop:
                waiting[found.labels[image]].append(part[image])
        unused += len(part)
        while number < numbers.stop and waiting[digits[number % len(digits)]]:
            image = waiting[digits[number % len(digits)]].popleft()
            ready += [image] if number >= numbers.start else []
            number, unused = number + 1, 0
        if ready:
            yield np.stack(ready)
        if number == numbers.stop:
            return
        if unused > PATIENCE:
            digit = digits[number % len(digits)]
            line = f"--digits: in {unused:,} images of this generator, the classifier finds no clear {digit}"
            raise DrawingError(line)
