# DBM-GML on CIFAR-10-LT, imbalance 100: ResNet-32 with a ResNet-56 as teacher.
#
#   python tools/train_two_stage.py configs/gml/teacher_resnet56_cifar10-lt-if100.py \
#       configs/gml/dbm-gml_resnet32_cifar10-lt-if100.py --work-dir work_dirs/dbm-gml_cifar10 \
#       --hand-over model.companions.teacher.checkpoint
#
# DBM paper, table 2: 85.30 (best epoch on test). Not run. Never released: see the README.
_base_ = './gml_resnet32_cifar10-lt-if100.py'

model = dict(head=dict(classifier=dict(scale=32.0), margin=dict(type='DBMMargin', max_margin=0.1)))
