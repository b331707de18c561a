# DBM-GML on ImageNet-LT.
#
#   python tools/train_two_stage.py configs/gml/teacher_resnext101_imagenet-lt.py \
#       configs/gml/dbm-gml_resnext50_imagenet-lt.py --gpus 4 --work-dir work_dirs/dbm-gml_resnext50_imagenet-lt \
#       --hand-over model.companions.teacher.checkpoint
#
# DBM paper: 58.6. Not run. Never released: see the README.
_base_ = './gml_resnext50_imagenet-lt.py'

model = dict(head=dict(margin=dict(type='DBMMargin', max_margin=0.1)))
