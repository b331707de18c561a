# A vision transformer for images of 8 x 8 pixels: patches of 2 x 2, four blocks of 64 channels.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='VisionTransformer',
        arch=dict(embed_dims=64, num_layers=4, num_heads=4, feedforward_channels=128),
        img_size=8,
        patch_size=2,
    ),
)
