"""Digits on request from a generator without labels: draws many, keeps those that the classifier is sure of."""

from collections import deque

from support.errors import DrawingError
from support.evaluation import classifier
from support.evaluation.definitions import CONFIDENT

PATIENCE = 50_000  # digits to draw without finding the next one


def keep(parts, digits, numbers):
    """Yields the digits with these numbers, a range, one by one: uint8 [1, 28, 28].

    parts: an endless iterator of drawn digits, uint8 [n, 28, 28]. digits: what to keep, in turn: digit i is the next
    one that the classifier reads as digits[i % len(digits)] with a confidence above CONFIDENT. Raises DrawingError if
    it does not come in PATIENCE drawn digits.
    """
    model, waiting = classifier.load(), {digit: deque() for digit in digits}
    for number in range(numbers.stop):
        digit, seen = digits[number % len(digits)], 0
        while not waiting[digit]:
            if seen > PATIENCE:
                line = f"in {seen:,} images of this generator, the classifier finds no clear {digit}"
                raise DrawingError(f"--digits: {line}")
            part = next(parts)
            found, seen = classifier.classify(model, part), seen + len(part)
            for image, label, confidence in zip(part, found.labels, found.confidences, strict=True):
                if confidence > CONFIDENT and label in waiting and len(waiting[label]) < numbers.stop:
                    waiting[label].append(image)
        image = waiting[digit].popleft()
        if number in numbers:
            yield image[None]
