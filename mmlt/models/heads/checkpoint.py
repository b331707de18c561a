"""What a head changes in a checkpoint while it is loaded: old names, and the class counts."""

import logging

import torch

from mmlt.models.state import say_once

# Until 0.1 the parts of the slots lay in the head itself.
_OLD_NAMES = {'neck.': 'slots.contrast.', 'loss_module.': 'slots.joint.criterion.'}


def rename_slots(state_dict: dict, prefix: str) -> None:
    """Rename, in place, the entries of a head that was saved before it had slots.

    Example:
        >>> state = {'head.neck.bank': torch.ones(3, 2), 'head.classifier.weight': torch.ones(3, 4)}
        >>> rename_slots(state, 'head.')
        >>> sorted(state)
        ['head.classifier.weight', 'head.slots.contrast.bank']
    """
    renamed = 0
    for old, new in _OLD_NAMES.items():
        for key in [key for key in state_dict if key.startswith(prefix + old)]:
            state_dict[prefix + new + key[len(prefix + old) :]] = state_dict.pop(key)
            renamed += 1
    if renamed:
        say_once(f'{renamed} entries of a checkpoint of mmlt 0.1 are now under {prefix}slots')


def settle_class_counts(
    state_dict: dict, prefix: str, counts: torch.Tensor | None, device=None
) -> torch.Tensor | None:
    """Let the config's class counts count; a checkpoint's are taken only where it has none.

    Args:
        state_dict (dict): The checkpoint's, changed in place.
        prefix (str): Of the head's entries in it.
        counts (Tensor, optional): The config's (K,).
        device (optional): Where the head is, and those of the checkpoint are to be.

    Returns:
        Tensor | None: The counts (K,) that the head has from now on; ``state_dict`` has the same.
    """
    key = f'{prefix}class_counts'
    found = state_dict.get(key)
    if counts is None:
        if found is not None:
            say_once('class_counts: the config has none, taken from the checkpoint')
        return None if found is None else found.to(device, copy=True)
    if found is not None and found.tolist() != counts.tolist():
        ours, theirs = counts.tolist(), found.tolist()
        if len(ours) == len(theirs):
            k = next(k for k in range(len(ours)) if ours[k] != theirs[k])
            differ = f'class {k} has {ours[k]} images in the config, {theirs[k]} in the checkpoint'
        else:
            differ = f'{len(ours)} classes in the config, {len(theirs)} in the checkpoint'
        say_once(
            f"class_counts: the config's count, the checkpoint's differ: {differ}", logging.WARNING
        )
    state_dict[key] = counts.detach().clone()
    return counts
