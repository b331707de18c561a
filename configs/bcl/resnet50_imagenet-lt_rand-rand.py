# BCL on ImageNet-LT with ResNet-50, both contrasted views by RandAugment.
#
#   tools/dist_train.sh configs/bcl/resnet50_imagenet-lt_rand-rand.py 4
#
# An ablation of BCL's supplement, whose numbers are not at hand. Not run.
_base_ = './resnet50_imagenet-lt.py'

train_dataloader = dict(dataset=dict(pipeline=_base_.rand_rand_pipeline))
