"""DBM written out as printed: loops over Python floats, one function an equation.

Slow on purpose, and imports nothing of the library: this is what the library is compared with.
``theta`` is the list of a sample's angles to the class vectors, ``y`` its class, counted from 0.
"""

import math


def angles(cosines):
    """Eq. 2 the other way round: the angles of a row of cosines."""
    return [math.acos(min(1.0, max(-1.0, c))) for c in cosines]


# --- Logits of the positive class, over s ----------------------------------------------------


def cosface(theta, y, m):
    """Table 1."""
    return math.cos(theta[y]) - m


def arcface(theta, y, m):
    """Table 1; past pi, where the cosine would rise again, a subtracted margin that joins on."""
    if theta[y] + m < math.pi:
        return math.cos(theta[y] + m)
    # At theta = pi - m both are -1.
    return math.cos(theta[y]) - (1 - math.cos(min(m, math.pi)))


def sphereface(theta, y, m):
    """Table 1, with the pieces that let it fall on behind pi / m (Liu et al. 2017, eq. 7)."""
    k = min(math.floor(m * theta[y] / math.pi), m - 1)
    return (-1) ** k * math.cos(m * theta[y]) - 2 * k


def ldam(theta, y, m, counts):
    """Table 1: m as a factor, so the margin of class k is m n_k^(-1/4)."""
    return math.cos(theta[y]) - m * counts[y] ** (-1 / 4)


def ldam_factor(counts, largest):
    """The m of table 1 for which the largest margin is ``largest`` (LDAM's released code)."""
    return largest / max(n ** (-1 / 4) for n in counts)


def eq_6(counts, y, big_k, tau, reference=None):
    """The class-wise margin; rho is over the smallest class or over ``reference``."""
    smallest = min(counts) if reference is None else reference
    rho = counts[y] / smallest
    return big_k * rho ** (-tau)


def eq_7(theta, y):
    """The difficulty of a sample."""
    return (1 - math.cos(theta[y])) / 2


def eq_8(theta, y, m_c):
    """The instance-wise margin."""
    return m_c * eq_7(theta, y)


def is_hard(theta, y):
    """The indicator of eq. 9; a tie for the nearest class is not hard."""
    return any(theta[i] < theta[y] for i in range(len(theta)) if i != y)


def eq_9(theta, y, m_c, instance='hard', weight=1.0):
    """The positive logit over s; ``instance`` and ``weight`` are the ablations' switches."""
    counted = instance == 'all' or (instance == 'hard' and is_hard(theta, y))
    m_i = weight * eq_8(theta, y, m_c) if counted else 0.0
    return arcface(theta, y, m_c + m_i)


# --- Losses of one sample --------------------------------------------------------------------


def _cross_entropy(logits, y):
    top = max(logits)
    return top + math.log(math.fsum(math.exp(z - top) for z in logits)) - logits[y]


def logits(theta, y, positive, s):
    """What eq. 5 exponentiates: ``positive`` for the class y, cosines for the others."""
    return [s * (positive if i == y else math.cos(theta[i])) for i in range(len(theta))]


def eq_1(psi, y):
    """Cross-entropy."""
    return _cross_entropy(psi, y)


def class_balance(n, beta):
    """The factor of eqs. 3 and 10 as 1 / (1 + beta + ... + beta^(n - 1)): nothing cancels."""
    return 1.0 / math.fsum(beta**i for i in range(n))


def eq_3(psi, y, counts, beta):
    """Class-balanced loss."""
    return class_balance(counts[y], beta) * eq_1(psi, y)


def eq_4(psi, y, counts, tau=1.0):
    """Balanced softmax; with another ``tau``, logit adjustment."""
    total = sum(counts)
    return eq_1([z + tau * math.log(n / total) for z, n in zip(psi, counts)], y)


def eq_5(theta, y, positive, s):
    """Margin-based cross-entropy."""
    return eq_1(logits(theta, y, positive, s), y)


def eq_10(theta, y, m_c, s, counts, beta):
    """DBM-CB."""
    return eq_3(logits(theta, y, eq_9(theta, y, m_c), s), y, counts, beta)


def eq_11(theta, y, m_c, s, counts):
    """DBM-BS."""
    return eq_4(logits(theta, y, eq_9(theta, y, m_c), s), y, counts)


def focal(psi, y, gamma):
    """Lin et al. (2017) with a softmax: -(1 - p)^gamma log p."""
    loss = eq_1(psi, y)
    return (1 - math.exp(-loss)) ** gamma * loss


# --- Features --------------------------------------------------------------------------------


def _dot(a, b):
    return math.fsum(p * q for p, q in zip(a, b))


def _mean(rows):
    return [math.fsum(column) / len(rows) for column in zip(*rows)]


def angle_to(x, center):
    """Fig. 4: theta_y in degrees."""
    lengths = math.sqrt(_dot(x, x)) * math.sqrt(_dot(center, center))
    return math.degrees(angles([_dot(x, center) / lengths])[0])


def mean_variance(*classes):
    """The sum over the classes of the mean variance of a feature, tr(Sigma_i + Sigma_j) / D."""
    total = 0.0
    for rows in classes:
        mean = _mean(rows)
        total += math.fsum((p - q) ** 2 for row in rows for p, q in zip(row, mean)) / len(rows)
    return total / len(classes[0][0])


def eq_12(w, first, second, ridge=0.0):
    """Fisher's criterion of two lists of features along ``w``; ``ridge`` is absolute."""
    means, spread = [], ridge * _dot(w, w)
    for rows in (first, second):
        projected = [_dot(w, x) for x in rows]
        mean = math.fsum(projected) / len(projected)
        means.append(mean)
        spread += math.fsum((p - mean) ** 2 for p in projected) / len(projected)
    return (means[0] - means[1]) ** 2 / spread


def best_direction(first, second, ridge):
    """Fisher 1936: (Sigma_i + Sigma_j + ridge I)^(-1) (mu_i - mu_j), by Gauss and Jordan."""
    d = len(first[0])
    table = [[ridge * (p == q) for q in range(d)] for p in range(d)]
    for rows in (first, second):
        mean = _mean(rows)
        for p in range(d):
            for q in range(d):
                products = [(x[p] - mean[p]) * (x[q] - mean[q]) for x in rows]
                table[p][q] += math.fsum(products) / len(rows)
    for row, a, b in zip(table, _mean(first), _mean(second)):
        row.append(a - b)
    for p in range(d):
        pivot = max(range(p, d), key=lambda q: abs(table[q][p]))
        table[p], table[pivot] = table[pivot], table[p]
        table[p] = [value / table[p][p] for value in table[p]]
        for q in range(d):
            if q != p:
                table[q] = [v - table[q][p] * u for v, u in zip(table[q], table[p])]
    return [row[-1] for row in table]


def eq_13(of_class, i, ridge):
    """Separability of class i; ``ridge`` is in units of the pair's mean variance."""
    total = 0.0
    for j in range(len(of_class)):
        if j != i:
            absolute = ridge * mean_variance(of_class[i], of_class[j])
            w = best_direction(of_class[i], of_class[j], absolute)
            total += eq_12(w, of_class[i], of_class[j], absolute)
    return total / (len(of_class) - 1)
