"""Guo et al. 2017, section 2, written out: loops over Python floats.

Slow on purpose, and imports nothing of the library: this is what the library is compared with.
"""

import math


def predict(scores):
    """The first class with the largest score, and that score."""
    best = 0
    for k in range(len(scores)):
        if scores[k] > scores[best]:
            best = k
    return best, scores[best]


def bin_of(confidence, num_bins):
    """The b with b / B < confidence <= (b + 1) / B; 0 for a confidence of 0."""
    for b in range(num_bins):
        if confidence <= (b + 1) / num_bins:
            return b
    raise ValueError(confidence)


def bin_members(probabilities, labels, num_bins):
    """For each bin, the (confidence, correct) of the samples in it."""
    members = [[] for _ in range(num_bins)]
    for scores, label in zip(probabilities, labels):
        prediction, confidence = predict(scores)
        members[bin_of(confidence, num_bins)].append((confidence, prediction == label))
    return members


def accuracy(members):
    return sum(correct for _, correct in members) / len(members)


def mean_confidence(members):
    return math.fsum(confidence for confidence, _ in members) / len(members)


def eq_3(probabilities, labels, num_bins):
    """Expected calibration error."""
    error = 0.0
    for members in bin_members(probabilities, labels, num_bins):
        if members:
            gap = abs(accuracy(members) - mean_confidence(members))
            error += len(members) / len(labels) * gap
    return error


def eq_5(probabilities, labels, num_bins):
    """Maximum calibration error."""
    return max(
        abs(accuracy(members) - mean_confidence(members))
        for members in bin_members(probabilities, labels, num_bins)
        if members
    )
