"""How a preset's defaults and what a user gives become the parts of a head."""

import torch
from mmpretrain.evaluation.metrics import Accuracy
from torch import nn

from mmlt.models.build import as_spec, merge_spec
from mmlt.models.losses import BalancedSoftmaxLoss, ClassBalancedLoss

NAMES = dict(
    joint=dict(sigmoid='SigmoidPairLoss', softmax='SoftmaxPairLoss'),
    contrast=dict(sigmoid='SigmoidPairLoss', softmax='SoftmaxPairLoss'),
    uniform=dict(sigmoid='SigmoidUniformLoss', softmax='SoftmaxUniformLoss'),
)
PARTS = ('classifier', 'joint', 'margin', 'contrast', 'neck', 'uniform', 'adjustment')


def part_spec(name: str, given):
    """The config, module or None that the argument ``name`` of a head stands for."""
    return as_spec(name, given, NAMES.get(name))


def merge_parts(defaults: dict, given: dict, **short) -> dict:
    """Merge a user's parts into a preset's, then write the short forms that were given into them.

    Args:
        defaults (dict): Part -> config.
        given (dict): Arguments of :class:`TripartiteHead` as the user gave them. The config of a
            part is merged into the default; a ``type`` of another name, a module or None replaces
            the default whole.
        **short: Name of a short form = (value, 'part.key', ...); None as value: not given.

    Returns:
        dict: The arguments of :class:`TripartiteHead`.

    Raises:
        ValueError: A short form that could have no effect, or that contradicts the part's config.

    Example:
        >>> merge_parts(
        ...     dict(joint=dict(type='SigmoidPairLoss', negative_ratio=0.4)),
        ...     dict(joint=dict(loss_weight=2.0)),
        ...     negative_ratio=(0.2, 'joint.negative_ratio'),
        ... )
        {'joint': {'type': 'SigmoidPairLoss', 'negative_ratio': 0.2, 'loss_weight': 2.0}}
    """
    given = {key: part_spec(key, value) if key in PARTS else value for key, value in given.items()}
    parts = defaults | given
    for name in defaults.keys() & given.keys():
        parts[name] = merge_spec(defaults[name], given[name])
    # A slot that is gone, or that is a module, takes its other half of the defaults along.
    if parts.get('contrast') is None and 'neck' not in given:
        parts.pop('neck', None)
    if isinstance(parts.get('neck'), nn.Module) and 'contrast' not in given:
        parts.pop('contrast', None)
    for argument, (value, *places) in short.items():
        for place in places if value is not None else ():
            name, key = place.split('.')
            part, own = parts.get(name), given.get(name)
            if not isinstance(part, dict):
                what = 'None' if part is None else f'a module, {type(part).__name__}'
                raise ValueError(f'{argument}={value!r} has no effect: {name} is {what}')
            if isinstance(own, dict) and own.get(key, value) != value:
                raise ValueError(f'{argument}={value!r} contradicts {name}.{key}={own[key]!r}')
            parts[name] = {**part, key: value}
    return parts


def slot_specs(joint, margin, joint_views, contrast, neck, uniform, slots) -> dict:
    """Configs (or modules) of a head's slots by name, from the arguments of its parts.

    Raises:
        ValueError: A part that could have no effect, or a name that is taken or no name.
        TypeError: A part of the wrong type.
    """
    if joint is None:
        raise ValueError('joint must be a criterion, got None: the test needs a classifier')
    parts = dict(joint=joint, margin=margin, contrast=contrast, neck=neck, uniform=uniform)
    parts = {name: part_spec(name, part) for name, part in parts.items()}
    specs = dict(
        joint=dict(
            type='JointSlot', criterion=parts['joint'], margin=parts['margin'], views=joint_views
        )
    )
    neck, contrast = parts['neck'], parts['contrast']
    if isinstance(neck, nn.Module):
        if contrast is not None:
            raise ValueError(
                'contrast has no effect: the module given for neck has a criterion of its own'
            )
        specs['contrast'] = neck
    elif contrast is not None:
        if 'criterion' in (neck or {}):
            raise ValueError('neck.criterion has no effect: give it to the head, as contrast')
        specs['contrast'] = merge_spec(dict(type='MemoryBankNeck'), neck or {})
        specs['contrast']['criterion'] = contrast
    elif neck is not None:
        raise ValueError('neck has no effect without contrast: set neck=None too')
    if parts['uniform'] is not None:
        specs['uniform'] = dict(type='UniformSlot', criterion=parts['uniform'])
    for name, spec in (slots or {}).items():
        if name in specs or not name.isidentifier():
            taken = f'a name other than {sorted(specs)}' if name in specs else 'a name'
            raise ValueError(f'slots must have {taken} for each slot, got {name!r}')
        specs[name] = as_spec(f'slots.{name}', spec)
    return specs


def trained_tau(criterion: nn.Module) -> float:
    """How much of the training prior a joint criterion takes out of what is learned on it.

    Example:
        >>> trained_tau(ClassBalancedLoss([9, 1], criterion=dict(type='SoftmaxPairLoss')))
        0.0
        >>> trained_tau(BalancedSoftmaxLoss([9, 1]))
        1.0
    """
    criterion = criterion.criterion if isinstance(criterion, ClassBalancedLoss) else criterion
    return float(criterion.tau) if isinstance(criterion, BalancedSoftmaxLoss) else 0.0


def accuracies(logits: torch.Tensor, labels: torch.Tensor, topk) -> dict:
    """What ``cal_acc`` asks of a head: the accuracy of each k of ``topk`` on labels (N,).

    Raises:
        ValueError: Soft labels.

    Example:
        >>> accuracies(torch.eye(2), torch.tensor([0, 1]), 1)
        {'accuracy_top-1': [tensor([100.])]}
    """
    if labels.dim() == 2:
        raise ValueError('cal_acc needs labels, but the batch has soft labels: turn it off')
    topk = topk if isinstance(topk, tuple) else (topk,)
    found = Accuracy.calculate(logits, labels, topk=topk)
    return {f'accuracy_top-{k}': accuracy for k, accuracy in zip(topk, found)}


def several_features(head: str, features) -> str:
    """Say what serves where the last stage of a backbone gives several features an image.

    Example:
        >>> several_features('BCE3SHead', (torch.rand(2, 8), torch.rand(2, 8)))[:66]
        'BCE3SHead classifies one feature an image, but the backbone gives '
    """
    if not isinstance(features, tuple | list):
        return f'{head} needs a tensor of features, got {type(features).__name__}'
    shapes = ' and '.join(str(tuple(getattr(x, 'shape', ()))) for x in features)
    return (
        f'{head} classifies one feature an image, but the backbone gives {len(features)} in its '
        f'last stage, {shapes}. Of a distilled DeiT take the mean of the patches, '
        "backbone=dict(out_type='avg_featmap'), or type='VisionTransformer'; Conformer has no such "
        'setting: take a ResNet or a VisionTransformer'
    )
