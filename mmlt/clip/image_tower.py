"""The image tower of a Hugging Face CLIP under the names of mmpretrain's VisionTransformer."""

from collections import OrderedDict

import torch
from mmpretrain.models.backbones import VisionTransformer

_LAYER = {
    'layer_norm1': 'ln1',
    'layer_norm2': 'ln2',
    'self_attn.out_proj': 'attn.proj',
    'mlp.fc1': 'ffn.layers.0.0',
    'mlp.fc2': 'ffn.layers.1',
}
_ACTIVATIONS = {'quick_gelu': 'mmpretrain.QuickGELU', 'gelu': 'GELU'}


def image_tower(model, prefix: str = 'visual.') -> OrderedDict:
    """Rename the weights of the image tower; the projection behind it stays out.

    Args:
        model (transformers.CLIPModel): what ``read_clip`` opens.
        prefix (str): before each name, for ``init_cfg=dict(type='Pretrained', prefix=...)``.
            Defaults to 'visual.'.

    Returns:
        OrderedDict: the state of ``VisionTransformer(pre_norm=True, ...)``; see
        :func:`backbone_settings`.

    Example:
        >>> weights = image_tower(read_clip('clip-vit-base-patch16')[0])  # doctest: +SKIP
    """
    tower = model.vision_model.state_dict()
    found = OrderedDict()
    found['cls_token'] = tower['embeddings.class_embedding'][None, None]
    found['pos_embed'] = tower['embeddings.position_embedding.weight'][None]
    found['patch_embed.projection.weight'] = tower['embeddings.patch_embedding.weight']
    for kind in ('weight', 'bias'):
        found[f'pre_norm.{kind}'] = tower[f'pre_layrnorm.{kind}']
        found[f'ln1.{kind}'] = tower[f'post_layernorm.{kind}']
        for i in range(model.config.vision_config.num_hidden_layers):
            old, new = f'encoder.layers.{i}', f'layers.{i}'
            found[f'{new}.attn.qkv.{kind}'] = torch.cat(
                [tower[f'{old}.self_attn.{part}_proj.{kind}'] for part in 'qkv']
            )
            for theirs, ours in _LAYER.items():
                found[f'{new}.{ours}.{kind}'] = tower[f'{old}.{theirs}.{kind}']
    return OrderedDict((f'{prefix}{name}', value.clone()) for name, value in found.items())


def backbone_settings(model) -> dict:
    """The arguments of ``VisionTransformer`` with which it is this image tower.

    Args:
        model (transformers.CLIPModel): what ``read_clip`` opens.

    Raises:
        ValueError: an activation that mmpretrain does not have.

    Example:
        >>> backbone_settings(read_clip('clip-vit-base-patch16')[0])['patch_size']
        ... # doctest: +SKIP
        16
    """
    config = model.config.vision_config
    if config.hidden_act not in _ACTIVATIONS:
        raise ValueError(
            f'hidden_act of the image tower is {config.hidden_act!r}, expected one of '
            f'{", ".join(_ACTIVATIONS)}'
        )
    sizes = dict(
        embed_dims=config.hidden_size,
        num_layers=config.num_hidden_layers,
        num_heads=config.num_attention_heads,
        feedforward_channels=config.intermediate_size,
    )
    named = VisionTransformer.arch_zoo
    return dict(
        arch=next((letter for letter in 'bl' if named[letter] == sizes), sizes),
        img_size=config.image_size,
        patch_size=config.patch_size,
        pre_norm=True,
        norm_cfg=dict(type='LN', eps=config.layer_norm_eps),
        layer_cfgs=dict(act_cfg=dict(type=_ACTIVATIONS[config.hidden_act])),
    )
