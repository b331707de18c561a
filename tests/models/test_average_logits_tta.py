"""Flip TTA: which images it sees, what it averages, what it leaves alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.models import AverageClsScoreTTA
from mmpretrain.registry import DATASETS, MODELS
from mmpretrain.structures import DataSample

import mmlt  # noqa: F401
from mmlt.engine.augmented_test import with_tta
from mmlt.evaluation import ExpertAccuracy
from mmlt.models.tta import AverageLogitsTTA

ROOT = Path(__file__).parents[2]
LENET = dict(type='ImageClassifier', backbone=dict(type='LeNet5', num_classes=3))


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')  # a Runner does


@pytest.fixture(scope='module')
def cfg():
    cfg = Config.fromfile(ROOT / 'configs/baselines/ce_resnet20_digits-lt.py')
    cfg.model.head.keep_features = True
    return with_tta(cfg, '--tta')


def batch_of(cfg, number: int) -> dict:
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    items = [dataset[i] for i in range(number)]
    return {key: [list(part) for part in zip(*(item[key] for item in items))] for key in items[0]}


def test_one_pass_is_plain_and_one_is_mirrored(cfg):
    plain = Config.fromfile(ROOT / 'configs/baselines/ce_resnet20_digits-lt.py')
    images = DATASETS.build(plain.test_dataloader.dataset)
    passes = DATASETS.build(cfg.test_dataloader.dataset)
    for i in range(5):
        wanted = np.asarray(images[i]['inputs'])
        first, second = (np.asarray(image) for image in passes[i]['inputs'])
        assert not np.array_equal(wanted, wanted[..., ::-1])
        assert np.array_equal(first, wanted)
        assert np.array_equal(second, wanted[..., ::-1])


def test_the_mean_is_of_the_logits_and_the_features_are_of_the_plain_image(cfg):
    torch.manual_seed(0)
    model = dict(cfg.model)
    model['module'] = dict(cfg.model.module, data_preprocessor=cfg.data_preprocessor)
    tta = MODELS.build(model).eval()
    torch.nn.init.normal_(tta.module.head.classifier.weight)  # far from uniform scores
    batch = batch_of(cfg, 8)
    merged = tta.test_step(batch)

    with torch.no_grad():
        logits, features = [], []
        for images in batch['inputs']:
            data = tta.module.data_preprocessor(dict(inputs=list(images)))
            feats = tta.module.extract_feat(data['inputs'])
            logits.append(tta.module.head(feats))
            features.append(feats[-1])
    wanted = (sum(logits) / 2).softmax(dim=1)
    scores = torch.stack([sample.pred_score for sample in merged])
    torch.testing.assert_close(scores, wanted, atol=1e-6, rtol=1e-4)
    mean_score = sum(z.softmax(dim=1) for z in logits) / 2
    assert (mean_score - wanted).abs().max() > 1e-3
    assert [int(sample.pred_label) for sample in merged] == wanted.argmax(dim=1).tolist()
    kept = torch.stack([sample.features for sample in merged])
    torch.testing.assert_close(kept, features[0])
    assert not torch.allclose(kept, features[1])


def test_the_two_means_disagree_where_one_pass_is_sure():
    rows = ([0.001, 0.998, 0.001], [0.9, 0.0001, 0.0999])
    passes = [DataSample().set_pred_score(torch.tensor(row)) for row in rows]
    by_logits = AverageLogitsTTA(LENET).merge_preds([passes])[0].pred_score
    by_scores = AverageClsScoreTTA(LENET).merge_preds([passes])[0].pred_score
    assert by_logits.argmax() == 0
    assert by_scores.argmax() == 1


def test_the_scores_of_experts_are_averaged_as_those_of_the_ensemble():
    """So that expert/* and shot/* of a row are of the same passes."""
    rows = torch.tensor([[[0.001, 0.998, 0.001], [0.2, 0.7, 0.1]],
                         [[0.9, 0.0001, 0.0999], [0.1, 0.8, 0.1]]])  # fmt: skip
    passes = []
    for scores in rows:
        sample = DataSample().set_pred_score(scores[0]).set_gt_label(0)
        sample.set_field(scores, 'expert_scores')
        passes.append(sample)
    (merged,) = AverageLogitsTTA(LENET).merge_preds([passes])
    torch.testing.assert_close(merged.expert_scores, rows.log().mean(0).softmax(-1))
    torch.testing.assert_close(merged.expert_scores[0], merged.pred_score)
    metric = ExpertAccuracy()
    metric.process(None, [merged.to_dict()])
    # In the first pass the first expert is wrong.
    assert metric.evaluate(1) == {'expert/0': 100.0, 'expert/1': 0.0, 'expert/mean': 50.0}
    torch.testing.assert_close(passes[0].expert_scores, rows[0])


def test_a_score_that_underflowed_is_no_nan():
    passes = [DataSample().set_pred_score(torch.tensor(row)) for row in ([1.0, 0.0], [1.0, 0.0])]
    score = AverageLogitsTTA(LENET).merge_preds([passes])[0].pred_score
    torch.testing.assert_close(score, torch.tensor([1.0, 0.0]))
