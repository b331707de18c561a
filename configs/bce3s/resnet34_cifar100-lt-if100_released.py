# The three places where the released BCE3S code differs from the paper or from what we think right:
# its images (the first n of a class), its negatives (one set of classes a batch, although here no
# positive is ever dropped) and cutmix's label (mixup's). Not run.
_base_ = './resnet34_cifar100-lt-if100.py'

data_preprocessor = dict(correct_lam=False)
model = dict(head=dict(joint=dict(negative_sampling='batch')))
train_dataloader = dict(dataset=dict(split='first_n'))
