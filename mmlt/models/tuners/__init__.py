"""What is trained of a frozen vision transformer; a Tuner says where it acts."""

from mmlt.models.tuners.adapt_former import AdaptFormer, adapter_width
from mmlt.models.tuners.bit_fit import BitFit
from mmlt.models.tuners.linear_probe import LinearProbe
from mmlt.models.tuners.lora import LoRA
from mmlt.models.tuners.ssf import SSF
from mmlt.models.tuners.tuner import Tuner, blocks_of
from mmlt.models.tuners.visual_prompts import VisualPrompts

__all__ = [
    'SSF',
    'AdaptFormer',
    'BitFit',
    'LinearProbe',
    'LoRA',
    'Tuner',
    'VisualPrompts',
    'adapter_width',
    'blocks_of',
]
