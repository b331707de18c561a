# CLIP's ViT-B/16, frozen, with AdaptFormer in each block; the leaf config names its width.
_base_ = './vit-base-p16_clip.py'

model = dict(
    type='TunedClassifier',
    tuner=dict(type='AdaptFormer'),
    saved='trained',  # checkpoints hold a few MB, and the hash of the weights that they need
)
