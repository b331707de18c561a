# DBM-BCL: BCL on iNaturalist 2018 with ResNet-50, with the margin of DBM.
#
#   tools/dist_train.sh configs/dbm/dbm-bcl_resnet50_inat2018.py 4 --auto-scale-lr
#
# DBM paper, table 4: 65.6 many, 71.8 medium, 73.8 few, 71.9 all. Not run.
_base_ = '../bcl/resnet50_inat2018.py'

model = dict(head=dict(margin=dict(type='DBMMargin', max_margin=0.1)))
