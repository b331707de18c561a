"""NCL and DBM-NCL in loops over experts, images and classes; no library but math.

z[m][i][k] are the logits of expert m for image i and class k.
"""

import math


def softmax(row):
    top = max(row)
    powers = [math.exp(value - top) for value in row]
    return [power / math.fsum(powers) for power in powers]


def ce(row, label):
    top = max(row)
    return top + math.log(math.fsum(math.exp(value - top) for value in row)) - row[label]


def mean(values):
    return math.fsum(values) / len(values)


def n1(z, counts):
    """Balanced logits."""
    return [
        [[row[k] + math.log(n) for k, n in enumerate(counts)] for row in expert] for expert in z
    ]


def n2(row, label, number):
    """Hard classes of one image by the logits of the first expert."""
    others = sorted((k for k in range(len(row)) if k != label), key=lambda k: -row[k])
    return {label, *others[: number - 1]}


def n3(row, hard, mask):
    """Partial logits of one image."""
    easy = {'zero': 0.0, 'exclude': -math.inf}[mask]
    return [value if k in hard else easy for k, value in enumerate(row)]


def n4(logits, labels):
    """Individual learning: a sum over the experts of means over the images; N5 is the same."""
    return math.fsum(mean([ce(row, y) for row, y in zip(expert, labels)]) for expert in logits)


def kl(p, q):
    return math.fsum(a * (math.log(a + 1e-9) - math.log(b + 1e-9)) for a, b in zip(p, q))


def n6(logits, weight):
    """Mutual distillation: every pair of two experts, both ways."""
    experts = range(len(logits))
    total = 0.0
    for i in experts:
        for j in experts:
            if i != j:
                pairs = zip(logits[j], logits[i])
                total += mean([kl(softmax(p), softmax(q)) for p, q in pairs])
    return weight / (len(logits) - 1) * total if len(logits) > 1 else 0.0


def n7(z, first, labels, counts, number, mask, r_ce=1.0, r_hcm=1.0, weight=0.6):
    """All terms of the classified view, by name; ``first`` are bare logits of the first expert."""
    b = n1(z, counts)
    hard = [n2(row, y, number) for row, y in zip(first, labels)]
    h = [[n3(row, classes, mask) for row, classes in zip(expert, hard)] for expert in b]
    return {
        'joint': r_ce * n4(b, labels),
        'distillation': n6(b, weight),
        'mining': r_hcm * n4(h, labels) + n6(h, weight),
    }


def dbm(cosines, labels, counts, scale, largest, tau=1.0):
    """DBM logits of one expert, from its own cosines."""
    rows = []
    for row, y in zip(cosines, labels):
        margin = largest * (min(counts) / counts[y]) ** tau
        if max(row) > row[y]:
            margin += margin * (1 - row[y]) / 2
        logits = [scale * value for value in row]
        logits[y] = scale * math.cos(math.acos(row[y]) + margin)
        rows.append(logits)
    return rows


def n9(queries, keys, queue, temperature):
    """Contrast of one expert: each unit query, its own key, and the queue as negatives."""
    losses = []
    for q, k in zip(queries, keys):
        row = [math.fsum(a * b for a, b in zip(q, u)) / temperature for u in (k, *queue)]
        losses.append(ce(row, 0))
    return mean(losses)


def follow(own, other, momentum):
    """Moving average of one list of numbers."""
    return [momentum * a + (1 - momentum) * b for a, b in zip(own, other)]
