"""The accuracy of each expert against a loop, and what is refused."""

import pytest
import torch

from mmlt.evaluation import ExpertAccuracy

LABELS = [0, 2, 1, 1, 2]


def samples():
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(5, 3, 3, generator=generator).softmax(dim=-1)
    return [
        dict(expert_scores=s, gt_label=torch.tensor([label])) for s, label in zip(scores, LABELS)
    ]


def test_it_is_the_loop_also_over_batches_and_without_padding():
    metric, data = ExpertAccuracy(), samples()
    for part in (data[:2], data[2:], data[:1]):  # the last one is padding of a sampler
        metric.process(None, part)
    found = metric.evaluate(size=5)
    for m in range(3):
        right = sum(s['expert_scores'][m].argmax().item() == y for s, y in zip(data, LABELS))
        assert found[f'expert/{m}'] == 20 * right
    assert found['expert/mean'] == pytest.approx(sum(found[f'expert/{m}'] for m in range(3)) / 3)
    assert set(found) == {'expert/0', 'expert/1', 'expert/2', 'expert/mean'}


def test_samples_without_the_scores_are_refused():
    with pytest.raises(KeyError, match='set keep_experts=True in an ExpertsHead'):
        ExpertAccuracy().process(None, [dict(gt_label=torch.tensor([0]))])


def test_scores_that_are_no_numbers_are_refused():
    (sample, *_) = samples()
    sample['expert_scores'][0, 0] = float('nan')
    with pytest.raises(ValueError, match='expert_scores of the evaluated set are not finite'):
        ExpertAccuracy().process(None, [sample])
