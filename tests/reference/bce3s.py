"""BCE3S written out as printed: nested loops over Python floats, one function an equation.

Slow on purpose, and imports nothing of the library: this is what the library is compared with.
Vectors are lists of floats, class indices count from 0.
"""

import math


def softplus(x):
    """log(1 + e^x), safe for any float."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def dot(a, b):
    return math.fsum(p * q for p, q in zip(a, b))


def length(a):
    return math.sqrt(dot(a, a))


def cosine(a, b):
    """<a, b> / (|a| |b|); 0 where a vector has no direction."""
    if length(a) == 0 or length(b) == 0:
        return 0.0
    return dot(a, b) / (length(a) * length(b))


def subtract(a, b):
    return [p - q for p, q in zip(a, b)]


def mean_vector(vectors):
    """Eqs. 17 and 18."""
    return [math.fsum(column) / len(vectors) for column in zip(*vectors)]


# --- Losses of one sample or one class -------------------------------------------------------


def eq_3(s, k, kept=None):
    """Joint sigmoid loss of a sample of class k with metrics s_j = w_j^T x + b_j.

    ``kept[j]`` says whether p_j < r for the negative class j.
    """
    loss = softplus(-s[k])
    for j in range(len(s)):
        if j != k and (kept is None or kept[j]):
            loss += softplus(s[j])
    return loss


def eq_3_soft(s, y, kept=None, soft_negatives=False):
    """Eq. 3 for soft labels: the released code's reading, or the plain binary cross-entropy."""
    loss = 0.0
    for j in range(len(s)):
        if y[j] > 0:
            loss += y[j] * softplus(-s[j])
        if kept is None or kept[j]:
            if soft_negatives:
                loss += (1 - y[j]) * softplus(s[j])
            elif y[j] == 0:
                loss += softplus(s[j])
    return loss


def eq_4(z, bank, k, tau):
    """Contrastive sigmoid loss of a projection of class k against the bank."""
    return eq_3([cosine(z, bank[j]) / tau for j in range(len(bank))], k)


def eq_5(weight, k, with_self=True):
    """Uniform sigmoid loss of class k; rows are normalised first."""
    loss = softplus(-cosine(weight[k], weight[k])) if with_self else 0.0
    for j in range(len(weight)):
        if j != k:
            loss += softplus(cosine(weight[k], weight[j]))
    return loss


def eq_22(s, k, kept=None):
    """Joint softmax loss; a class left out of ``kept`` leaves the denominator, k never does."""
    y = [float(j == k) for j in range(len(s))]
    return eq_22_soft(s, y, kept)


def eq_22_soft(s, y, kept=None):
    """Eq. 22 weighed by soft labels; 0 where nothing stands in the denominator."""
    inside = [s[j] for j in range(len(s)) if y[j] > 0 or kept is None or kept[j]]
    if not inside:
        return 0.0
    top = max(inside)
    log_sum = top + math.log(math.fsum(math.exp(v - top) for v in inside))
    return math.fsum(y[j] * (log_sum - s[j]) for j in range(len(s)) if y[j] > 0)


def eq_23(z, bank, k, tau):
    """Contrastive softmax loss, its indices read as in eqs. 2 and 4."""
    return eq_22([cosine(z, bank[j]) / tau for j in range(len(bank))], k)


def eq_24(weight, k):
    """Uniform softmax loss of class k; the numerator is e."""
    exponentials = [math.exp(cosine(weight[k], row)) for row in weight]
    return math.log(math.fsum(exponentials)) - 1.0


# --- Losses of a batch -----------------------------------------------------------------------


def _tripartite(joint, contrast, uniform, lambda_ss, lambda_cc):
    return (
        math.fsum(joint) / len(joint)
        + lambda_ss * math.fsum(contrast) / len(contrast)
        + lambda_cc * math.fsum(uniform) / len(uniform)
    )


def eq_6(logits, projections, labels, bank, weight, tau, lambda_ss, lambda_cc):
    """The BCE3S loss."""
    joint = [eq_3(s, k) for s, k in zip(logits, labels)]
    contrast = [eq_4(z, bank, k, tau) for z, k in zip(projections, labels)]
    uniform = [eq_5(weight, k) for k in range(len(weight))]
    return _tripartite(joint, contrast, uniform, lambda_ss, lambda_cc)


def eq_25(logits, projections, labels, bank, weight, tau, lambda_ss, lambda_cc):
    """The CE3S loss."""
    joint = [eq_22(s, k) for s, k in zip(logits, labels)]
    contrast = [eq_23(z, bank, k, tau) for z, k in zip(projections, labels)]
    uniform = [eq_24(weight, k) for k in range(len(weight))]
    return _tripartite(joint, contrast, uniform, lambda_ss, lambda_cc)


def class_balance(n, beta):
    """(1 - beta) / (1 - beta^n) as 1 / (1 + beta + ... + beta^(n - 1)): nothing cancels."""
    return 1.0 / math.fsum(beta**i for i in range(n))


def eq_26(logits, labels, counts, beta):
    """Class-balanced softmax loss."""
    losses = [class_balance(counts[k], beta) * eq_22(s, k) for s, k in zip(logits, labels)]
    return math.fsum(losses) / len(losses)


def eq_35(logits, labels, counts, beta):
    """Class-balanced sigmoid loss."""
    losses = [class_balance(counts[k], beta) * eq_3(s, k) for s, k in zip(logits, labels)]
    return math.fsum(losses) / len(losses)


# --- Geometry, in percent --------------------------------------------------------------------


def eq_13(weight, k):
    """Separability of classifier vector k, centred by eqs. 16 and 17."""
    centred = [subtract(row, mean_vector(weight)) for row in weight]
    total = 0.0
    for j in range(len(weight)):
        if j != k:
            total += (1 - cosine(centred[k], centred[j])) / 2
    return 100 * total / (len(weight) - 1)


def eq_14(of_class, k):
    """Compactness of class k; ``of_class[k]`` lists the features of class k."""
    n, total = len(of_class[k]), 0.0
    for i in range(n):
        for other in range(n):
            if other != i:
                total += (cosine(of_class[k][i], of_class[k][other]) + 1) / 2
    return 100 * total / (n * n - n)


def eq_15(of_class, k, centering='class'):
    """Separability of class k by eqs. 18 and 19, or centred on the mean of the class means."""
    means = [mean_vector(rows) for rows in of_class]
    center = means[k] if centering == 'class' else mean_vector(means)
    if centering == 'global':
        means = [subtract(mean, center) for mean in means]
    total = 0.0
    for x in of_class[k]:
        for j in range(len(of_class)):
            if j != k:
                total += (1 - cosine(subtract(x, center), means[j])) / 2
    return 100 * total / (len(of_class[k]) * (len(of_class) - 1))


def eq_36(weight):
    """The separability matrix, as a fraction."""
    centred = [subtract(row, mean_vector(weight)) for row in weight]
    return [
        [1.0 if j == k else (1 - cosine(centred[j], centred[k])) / 2 for k in range(len(weight))]
        for j in range(len(weight))
    ]


def simplex_etf(num_classes):
    """Eqs. 20 and 21: K unit vectors in R^K with all cosines -1 / (K - 1)."""
    k = num_classes
    scale = math.sqrt(k / (k - 1))
    return [[scale * (float(i == j) - 1 / k) for j in range(k)] for i in range(k)]


# --- The memory bank -------------------------------------------------------------------------


def write_bank(bank, filled, projections, labels):
    """Appendix D: the last feature of a class in the batch is remembered; returns both anew."""
    bank, filled = [list(row) for row in bank], list(filled)
    for z, k in zip(projections, labels):
        if k >= 0:
            bank[k], filled[k] = list(z), True
    return bank, filled
