"""Modules with state: heads, slots, losses, layers, necks, backbones, preprocessors, TTA."""

from mmlt.models import backbones, data_preprocessors, heads, layers, losses, necks, slots, tta
