"""GML and DBM-GML in loops over images, slots and classes; no library but math.

e[i] are unit embeddings of the images, keys[j] those of the queue's slots; a[i][k] scaled cosines.
"""

import math
from fractions import Fraction


def softmax(row):
    top = max(row)
    powers = [math.exp(value - top) for value in row]
    return [power / math.fsum(powers) for power in powers]


def ce(row, label):
    top = max(row)
    return top + math.log(math.fsum(math.exp(value - top) for value in row)) - row[label]


def mean(values):
    return math.fsum(values) / len(values)


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b))


def unit(row):
    return [value / math.sqrt(dot(row, row)) for value in row]


def sizes(counts, size, base):
    """Slots of each class, from the boundaries."""
    prior = [Fraction(n, sum(counts)) for n in counts]
    boundaries = [
        math.ceil(base * j + (size - len(counts) * base) * sum(prior[:j]))
        for j in range(len(counts) + 1)
    ]
    return [last - first for first, last in zip(boundaries, boundaries[1:])]


class Queue:
    """A list for each class, written slot by slot."""

    def __init__(self, number_of_slots):
        self.rings = [[None] * number for number in number_of_slots]
        self.pointer = [0] * len(number_of_slots)

    def write(self, items, labels):
        written = [0] * len(self.rings)
        start = list(self.pointer)
        for item, label in zip(items, labels):
            ring = self.rings[label]
            if written[label] < len(ring):
                ring[(start[label] + written[label]) % len(ring)] = item
                written[label] += 1
                self.pointer[label] = (start[label] + written[label]) % len(ring)

    def slots(self):
        return [item for ring in self.rings for item in ring]


def g1(e, keys, slot_classes, classes, temperature, hidden=()):
    """log S_c of one image; ``hidden`` slots are left out, unless a class would have none."""
    scores = []
    for c in range(classes):
        own = [j for j, k in enumerate(slot_classes) if k == c]
        own = [j for j in own if j not in hidden] or own
        powers = [math.exp(dot(e, keys[j]) / temperature) for j in own]
        scores.append(math.log(math.fsum(powers) / len(own)))
    return scores


def with_prior(row, counts):
    return [value + math.log(n / sum(counts)) for value, n in zip(row, counts)]


def g2(e, keys, slot_classes, labels, counts, temperature):
    rows = [g1(x, keys, slot_classes, len(counts), temperature) for x in e]
    return mean([ce(with_prior(row, counts), y) for row, y in zip(rows, labels)])


def g3(e, keys, slot_classes, labels, counts, temperature, ids, slot_ids):
    losses = []
    for x, y, own in zip(e, labels, ids):
        hidden = {j for j, other in enumerate(slot_ids) if other == own}
        row = g1(x, keys, slot_classes, len(counts), temperature, hidden)
        losses.append(ce(with_prior(row, counts), y))
    return mean(losses)


def g4(a, labels, counts):
    return mean([ce(with_prior(row, counts), y) for row, y in zip(a, labels)])


def g5(a, teacher, temperature):
    total = []
    for row, other in zip(a, teacher):
        p = softmax([value / temperature for value in other])
        q = softmax([value / temperature for value in row])
        total.append(math.fsum(x * math.log(x / y) for x, y in zip(p, q)))
    return temperature**2 * mean(total)
