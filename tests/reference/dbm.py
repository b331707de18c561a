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
