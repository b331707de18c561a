"""CLIP models on disk in the Hugging Face form: class vectors of text, weights for mmpretrain.

Reading them needs ``transformers`` (``pip install 'mmlt[text]'``); nothing else of mmlt does.
"""

from mmlt.clip.folder import read_clip
from mmlt.clip.image_tower import backbone_settings, image_tower
from mmlt.clip.prompts import read_class_names, read_templates
from mmlt.clip.text_vectors import text_vectors

__all__ = [
    'backbone_settings',
    'image_tower',
    'read_class_names',
    'read_clip',
    'read_templates',
    'text_vectors',
]
