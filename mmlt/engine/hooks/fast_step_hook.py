"""The layout and the compilation of the backbone, for faster steps."""

import torch
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from mmlt.engine.bare_model import bare_model


@HOOKS.register_module()
class FastStepHook(Hook):
    """Run the backbone in channels-last layout and, by option, compiled.

    Weights, state dict and numbers of parameters stay what they are; the layout changes the order
    of sums, so the last digits. mmengine's own ``compile`` takes the whole training step, optimizer
    included, and compiles it anew at every new learning rate; here it is the backbone alone.

    ``tools/train.py --fast`` adds this hook and bfloat16 autocast.

    Args:
        channels_last (bool): Defaults to True.
        compile (bool | dict): Whether ``torch.compile`` compiles the backbone, or its arguments,
            such as ``dict(mode='max-autotune')``. Defaults to False.

    Example:
        ``custom_hooks = [dict(type='FastStepHook', compile=True)]``
    """

    def __init__(self, channels_last: bool = True, compile: bool | dict = False):
        self.channels_last = channels_last
        self.compile = compile

    def before_train(self, runner) -> None:
        """Convert the backbone; its first output then hands the layout on."""
        backbone = bare_model(runner).backbone
        if self.channels_last:
            backbone.to(memory_format=torch.channels_last)
        if self.compile is not False:
            options = self.compile if isinstance(self.compile, dict) else {}
            backbone.compile(**{'dynamic': False, **options})
