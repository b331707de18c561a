# DBM-GML on iNaturalist 2018.
#
#   python tools/train_two_stage.py configs/gml/teacher_resnet152_inat2018.py \
#       configs/gml/dbm-gml_resnet50_inat2018.py --gpus 4 --work-dir work_dirs/dbm-gml_resnet50_inat2018 \
#       --hand-over model.companions.teacher.checkpoint
#
# DBM paper: 72.0. Not run. Never released: see the README.
_base_ = './gml_resnet50_inat2018.py'

model = dict(head=dict(margin=dict(type='DBMMargin', max_margin=0.1)))
