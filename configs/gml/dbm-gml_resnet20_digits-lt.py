# DBM-GML on scikit-learn's digits, imbalance 50: ResNet-20 with a ResNet-32 as teacher.
#
#   python tools/train_two_stage.py configs/gml/teacher_resnet32_digits-lt.py \
#       configs/gml/dbm-gml_resnet20_digits-lt.py --work-dir work_dirs/dbm-gml_digits \
#       --hand-over model.companions.teacher.checkpoint
_base_ = './gml_resnet20_digits-lt.py'

model = dict(head=dict(classifier=dict(scale=32.0), margin=dict(type='DBMMargin', max_margin=0.1)))
