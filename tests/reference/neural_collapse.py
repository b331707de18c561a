"""Papyan, Han and Donoho 2020, written out: loops over Python floats, one function a property.

Slow on purpose, and imports nothing of the library: this is what the library is compared with.
``of_class[k]`` lists the features of class k, ``weight`` the classifier's vectors.
"""

import math

import numpy as np


def dot(a, b):
    return math.fsum(p * q for p, q in zip(a, b))


def length(a):
    return math.sqrt(dot(a, a))


def mean(values):
    return math.fsum(values) / len(values)


def deviation(values):
    return math.sqrt(mean([(v - mean(values)) ** 2 for v in values]))


def class_means(of_class):
    return [[mean(column) for column in zip(*rows)] for rows in of_class]


def centred_means(of_class):
    means = class_means(of_class)
    center = [mean(column) for column in zip(*means)]
    return [[p - q for p, q in zip(row, center)] for row in means]


def add_outer(matrix, row, factor):
    for p in range(len(row)):
        for q in range(len(row)):
            matrix[p][q] += factor * row[p] * row[q]


def nc1(of_class):
    """tr(Sigma_W Sigma_B^+) / K."""
    d, k, n = len(of_class[0][0]), len(of_class), sum(len(rows) for rows in of_class)
    within, between = ([[0.0] * d for _ in range(d)] for _ in range(2))
    for rows, center in zip(of_class, class_means(of_class)):
        for x in rows:
            add_outer(within, [p - q for p, q in zip(x, center)], 1 / n)
    for row in centred_means(of_class):
        add_outer(between, row, 1 / k)
    inverse = np.linalg.pinv(np.array(between), rcond=1e-10)
    return math.fsum(within[p][q] * inverse[q][p] for p in range(d) for q in range(d)) / k


def nc2_norm(rows):
    lengths = [length(row) for row in rows]
    return deviation(lengths) / mean(lengths)


def _cosines(rows):
    return [
        dot(rows[j], rows[k]) / (length(rows[j]) * length(rows[k]))
        for j in range(len(rows))
        for k in range(len(rows))
        if j != k
    ]


def nc2_angle(rows):
    return deviation(_cosines(rows))


def nc2_etf(rows):
    return mean([abs(cosine + 1 / (len(rows) - 1)) for cosine in _cosines(rows)])


def nc3(of_class, weight):
    means = centred_means(of_class)
    flat_means, flat_weight = ([v for row in rows for v in row] for rows in (means, weight))
    m, w = length(flat_means), length(flat_weight)
    return length([a / w - b / m for a, b in zip(flat_weight, flat_means)])


def nc4(of_class, weight, bias):
    """Part of the samples that the classifier and the nearest class mean decide differently."""
    means, different = class_means(of_class), []
    for x in (x for rows in of_class for x in rows):
        logits = [dot(row, x) + b for row, b in zip(weight, bias)]
        distances = [length([p - q for p, q in zip(x, center)]) for center in means]
        different.append(logits.index(max(logits)) != distances.index(min(distances)))
    return mean(different)


def all_four(of_class, weight, bias):
    measures = {'nc1': nc1(of_class)}
    for name, rows in (('means', centred_means(of_class)), ('weight', weight)):
        measures[f'nc2_norm_{name}'] = nc2_norm(rows)
        measures[f'nc2_angle_{name}'] = nc2_angle(rows)
        measures[f'nc2_etf_{name}'] = nc2_etf(rows)
    measures['nc3'] = nc3(of_class, weight)
    measures['nc4'] = nc4(of_class, weight, bias)
    return measures
