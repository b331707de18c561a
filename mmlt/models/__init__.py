"""Modules with state: classifiers, heads, slots, losses, layers, necks, backbones, and others."""

from mmlt.models import (
    backbones,
    class_vectors_init,
    classifiers,
    data_preprocessors,
    heads,
    layers,
    losses,
    necks,
    slots,
    tta,
    tuners,
)
