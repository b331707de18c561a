# BCE3S on iNaturalist 2018 with ResNet-50, 180 epochs; first stage.
#
#   tools/dist_train.sh configs/bce3s/resnet50_inat2018.py 4
#
# 4 x 64 images a step, the paper's 256; one or two GPUs: README.md, "Batch". Paper, table 5: 77.16
# many, 74.45 medium, 72.78 few, 73.99 all (these do not add up). This config: not run.
_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/inat2018.py',
    '../_base_/schedules/bce3s_inat_180e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = dict(type='MultiViewDataPreprocessor')
model = dict(
    head=dict(
        type='BCE3SHead',
        num_classes=8142,
        in_channels=2048,
        class_counts='inaturalist2018',
        # 8142^2 pairs of classes at once would take a gigabyte.
        uniform=dict(type='SigmoidUniformLoss', chunk_size=1024),
    )
)
