"""Training steps as the released implementations take them, written anew from the facts.

One image at a time through PIL, float32 in the usual layout, the losses in their authors'
arithmetic, and a look at loss and accuracy in every step. Faults that would stop or falsify a run
(tensors on the wrong device, memory that was never written) are not repeated. What
tools/benchmarks/whole_step.py compares with.
"""

import itertools

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
WIDTH = 64


class Cutout:
    """A hole of 16 pixels, by a mask of the size of the image."""

    def __call__(self, image):
        size = image.shape[1]
        mask = np.ones((size, size), np.float32)
        y, x = np.random.randint(size, size=2)
        mask[max(0, y - 8) : y + 8, max(0, x - 8) : x + 8] = 0
        return image * torch.from_numpy(mask).expand_as(image)


PLAIN = T.Compose(
    [
        T.RandomCrop(32, padding=4),
        T.RandomHorizontalFlip(),
        T.AutoAugment(T.AutoAugmentPolicy.CIFAR10, fill=(128,) * 3),
        T.ToTensor(),
        Cutout(),
        T.Normalize(MEAN, STD),
    ]
)
SIM = T.Compose(
    [
        T.RandomResizedCrop(32, scale=(0.2, 1.0)),
        T.RandomHorizontalFlip(),
        T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
        T.RandomGrayscale(p=0.2),
        T.ToTensor(),
        T.Normalize(MEAN, STD),
    ]
)


class Images(Dataset):
    """Arrays through one transform a view."""

    def __init__(self, images, labels, *views):
        self.images, self.labels, self.views = images, labels, views

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = T.functional.to_pil_image(self.images[index])
        return [view(image) for view in self.views], self.labels[index]


def endless(images, labels, batch_size, *views):
    """Batches, epoch after epoch."""
    loader = DataLoader(
        Images(images, labels, *views), batch_size, shuffle=True, drop_last=True, num_workers=0
    )
    return itertools.chain.from_iterable(iter(loader) for _ in itertools.count())


class Loop:
    """Backbone, optimizer, and the step around a method's loss."""

    def __init__(self, images, labels, counts, batch_size, *views):
        self.batches = endless(images, labels, batch_size, *views)
        self.counts = torch.tensor(counts, dtype=torch.float32)
        self.backbone = MODELS.build(dict(type='CifarResNet', depth=32)).train()
        self.classifier = nn.Linear(WIDTH, len(counts))
        self.parts = nn.ModuleList([self.backbone, self.classifier, *self.build()])
        self.optimizer = torch.optim.SGD(self.parts.parameters(), 0.01, 0.9, weight_decay=5e-4)
        self.seen = []

    def build(self):
        return []

    def features(self, images):
        return self.backbone(images)[0].mean(dim=(2, 3))

    def step(self):
        views, labels = next(self.batches)
        loss, logits = self.loss(views, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        top1 = (logits.topk(5).indices[:, 0] == labels).float().mean()
        self.seen = [loss.item(), top1.item()]


class DBM(Loop):
    """DBM with balanced softmax: the angle by acos, the margin by a one-hot mask."""

    def loss(self, views, labels):
        x = F.normalize(self.features(views[0]))
        cosine = F.linear(x, F.normalize(self.classifier.weight)).clamp(-1 + 1e-7, 1 - 1e-7)
        theta = torch.acos(cosine)
        onehot = torch.zeros_like(cosine).scatter_(1, labels[:, None], 1)
        margin = (0.1 * self.counts[-1] / self.counts)[labels][:, None]
        hard = (theta.argmin(dim=1) != labels).float()[:, None]
        own = (cosine * onehot).sum(dim=1, keepdim=True)
        margin = margin + hard * margin * (1 - own) / 2
        logits = 32 * torch.cos(theta + onehot * margin)
        prior = torch.log(self.counts / self.counts.sum())
        return F.cross_entropy(logits + prior[None].expand_as(logits), labels), logits


class BCL(Loop):
    """Logit compensation and the balanced contrast, by masks over all items."""

    def build(self):
        def mlp():
            norm = nn.BatchNorm1d(512)
            return nn.Sequential(nn.Linear(WIDTH, 512), norm, nn.ReLU(), nn.Linear(512, 128))

        self.projector, self.prototypes = mlp(), mlp()
        return self.projector, self.prototypes

    def loss(self, views, labels):
        features = self.features(torch.cat(views))
        n, k = len(labels), len(self.counts)
        logits = self.classifier(features[:n])
        ce = F.cross_entropy(logits + torch.log(self.counts / self.counts.sum()), labels)
        z = F.normalize(self.projector(features[n:]))
        items = torch.cat([z, F.normalize(self.prototypes(self.classifier.weight))])
        targets = torch.cat([labels, labels, torch.arange(k)])
        present = torch.eye(k)[targets].sum(dim=0)
        same = torch.eq(targets[: 2 * n, None], targets[None]).float()
        others = torch.ones_like(same).scatter_(1, torch.arange(2 * n)[:, None], 0)
        same = same * others
        similarity = z @ items.T / 0.1
        similarity = similarity - similarity.max(dim=1, keepdim=True).values.detach()
        exp = torch.exp(similarity) * others
        per_item = torch.tensor([present[t] for t in targets]).expand(2 * n, -1) - same
        log_prob = similarity - exp.div(per_item).sum(dim=1, keepdim=True).log()
        contrast = -((same * log_prob).sum(1) / same.sum(1)).mean()
        return 2.0 * ce + 0.6 * contrast, logits


class BCE3S(Loop):
    """Three views, three sigmoid losses, a bank that is written sample by sample."""

    def __init__(self, images, labels, counts, batch_size, *views):
        super().__init__(images, labels, counts, batch_size, *views)
        self.partners = endless(images, labels, batch_size, *views)
        self.bank = torch.randn(len(counts), 128)

    def build(self):
        self.projector = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 128))
        return (self.projector,)

    def loss(self, views, labels):
        (images,), k = views, len(self.counts)
        (partners,), partner_labels = next(self.partners)
        lam = float(np.random.beta(1, 1))
        pasted = images.clone()
        side = int(32 * (1 - lam) ** 0.5)
        y, x = np.random.randint(0, 33 - side, size=2)
        pasted[:, :, y : y + side, x : x + side] = partners[:, :, y : y + side, x : x + side]
        mixed = lam * images + (1 - lam) * partners
        hard = F.one_hot(labels, k).float()
        soft = lam * hard + (1 - lam) * F.one_hot(partner_labels, k).float()
        features = [self.features(view) for view in (images, mixed, pasted)]
        weight = F.normalize(self.classifier.weight)
        logits = [F.linear(x, weight, self.classifier.bias) for x in features]
        joint = sum(self.sigmoid(z, y) for z, y in zip(logits, (hard, soft, soft), strict=True)) / 3
        bank = F.normalize(self.bank)
        contrast = sum(
            self.sigmoid(F.normalize(self.projector(x)) @ bank.T, soft) for x in features[1:]
        )
        uniform = self.sigmoid(weight @ weight.T, torch.eye(k))
        with torch.no_grad():
            projections = self.projector(features[0])
            for label, projection in zip(labels.tolist(), projections, strict=True):
                self.bank[label] = projection
        return joint + 0.1 * contrast + uniform, logits[0]

    @staticmethod
    def sigmoid(similarity, target):
        s = similarity.clamp(-64, 64)
        positive = (target * torch.log(1 + torch.exp(-s))).sum(dim=1)
        negative = ((target == 0).float() * torch.log(1 + torch.exp(s))).sum(dim=1)
        return (positive + negative).mean()


LOOPS = {
    'DBM-BS': (DBM, (PLAIN,)),
    'BCL': (BCL, (PLAIN, SIM, SIM)),
    'BCE3S': (BCE3S, (PLAIN,)),
}
