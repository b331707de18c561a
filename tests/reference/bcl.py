"""BCL written out as printed: loops over Python floats, one function an equation.

Slow on purpose, and imports nothing of the library: this is what the library is compared with.
``z`` lists the items of a batch, vectors as lists of floats, and ``y`` their classes, counted from
0; an equation is that of the anchor ``z[i]``. The paper leaves the temperature ``tau`` out.
"""

import math


def dot(a, b):
    return math.fsum(p * q for p, q in zip(a, b))


def log_sum(terms):
    """log of the sum of w e^x over pairs (w, x), safe for any x."""
    top = max(x for _, x in terms)
    return top + math.log(math.fsum(w * math.exp(x - top) for w, x in terms))


def others(i, z):
    return [k for k in range(len(z)) if k != i]


def of_class(j, items, y):
    return [k for k in items if y[k] == j]


def _loss(positives, log_denominator):
    """-1 / |P| sum over p of log(exp(s_p) / denominator); 0 without positives (eq. 2)."""
    if not positives:
        return 0.0
    return -math.fsum(s - log_denominator for s in positives) / len(positives)


def eq_1(i, z, y, tau):
    """Supervised contrastive loss."""
    seen = others(i, z)
    positives = [dot(z[i], z[p]) / tau for p in of_class(y[i], seen, y)]
    if not positives:
        return 0.0
    return _loss(positives, log_sum([(1.0, dot(z[i], z[k]) / tau) for k in seen]))


def eq_2(c, z, y, tau):
    """The class-specific batch-wise loss: 0 unless the class has two samples."""
    anchors = of_class(c, range(len(z)), y)
    return math.fsum(eq_1(i, z, y, tau) for i in anchors) if len(anchors) > 1 else 0.0


def eq_5(num_classes):
    """The lower bound of a sample's loss when all classes are in the batch, tau = 1."""
    k = num_classes
    return math.log(1 + (k - 1) * math.exp(-k / (k - 1)))


def eq_6(i, z, y, tau):
    """L1: the exponentials of a class are averaged; the anchor's own class is one short."""
    seen = others(i, z)
    positives = [dot(z[i], z[p]) / tau for p in of_class(y[i], seen, y)]
    terms = []
    for j in set(y):
        members = of_class(j, seen, y)
        for k in members:
            terms.append((1 / len(members), dot(z[i], z[k]) / tau))
    return _loss(positives, log_sum(terms)) if terms else 0.0


def eq_7(i, z, y, tau):
    """L2: the similarities of a class are averaged; the anchor's own class is one short."""
    seen = others(i, z)
    positives = [dot(z[i], z[p]) / tau for p in of_class(y[i], seen, y)]
    terms = []
    for j in set(y):
        members = of_class(j, seen, y)
        if members:
            mean = math.fsum(dot(z[i], z[k]) / tau for k in members) / len(members)
            terms.append((1.0, mean))
    return _loss(positives, log_sum(terms)) if terms else 0.0


def eq_8(i, z, y, prototypes, tau):
    """L3: softmax over the prototypes."""
    terms = [(1.0, dot(z[i], prototype) / tau) for prototype in prototypes]
    return _loss([dot(z[i], prototypes[y[i]]) / tau], log_sum(terms))


def complement(z, y, prototypes):
    """Class-complement: the prototypes are items behind those of the batch."""
    return z + prototypes, y + list(range(len(prototypes)))


def eq_9(i, z, y, prototypes, tau, released=True):
    """The balanced contrastive loss, as the released code computes it or as printed.

    In print the anchor is an item of its own class in the denominator, and |B_y| + 1 divides it.
    """
    own = of_class(y[i], others(i, z), y)
    positives = [dot(z[i], z[p]) / tau for p in own]
    positives.append(dot(z[i], prototypes[y[i]]) / tau)
    terms = []
    for j in range(len(prototypes)):
        batch = of_class(j, range(len(z)), y)
        if released and j == y[i]:
            weight, batch = 1 / len(batch), own
        else:
            weight = 1 / (len(batch) + 1)
        terms += [(weight, dot(z[i], z[k]) / tau) for k in batch]
        terms.append((weight, dot(z[i], prototypes[j]) / tau))
    return _loss(positives, log_sum(terms))


def eq_10(phi, c, counts):
    """Logit compensation with alpha = 1 and delta = log of the class prior."""
    shifted = [value + math.log(n / sum(counts)) for value, n in zip(phi, counts)]
    return log_sum([(1.0, value) for value in shifted]) - shifted[c]


def simplex(num_classes):
    """K unit vectors in R^K, all inner products -1 / (K - 1)."""
    k = num_classes
    scale = math.sqrt(k / (k - 1))
    return [[scale * (float(i == j) - 1 / k) for j in range(k)] for i in range(k)]
