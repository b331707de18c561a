"""Modules with state: heads, slots, losses, layers, necks, backbones and data preprocessors."""

from mmlt.models import backbones, data_preprocessors, heads, layers, losses, necks, slots
