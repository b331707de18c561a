# BCE3S on CIFAR-100-LT, imbalance 100, mixing with partners from the whole training set as the
# released code does, weights 1 / n_k^power: here classes alike. power=0.0 (images alike) is the
# published run. Not run.
_base_ = './resnet34_cifar100-lt-if100.py'

data_preprocessor = dict(partner='weighted')
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MixPartnerDataset',
        power=1.0,
        dataset=_base_.train_dataloader.dataset,
    )
)
