# Every block starts with its last BatchNorm at 1, as the released networks of BCE3S, BCL and DBM do;
# mmpretrain's own default starts it at 0.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet',
        depth=152,
        num_stages=4,
        out_indices=(3,),
        style='pytorch',
        zero_init_residual=False,
    ),
    neck=dict(type='GlobalAveragePooling'),
)
