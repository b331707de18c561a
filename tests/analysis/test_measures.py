"""What is measured of a model: its classifier as it decides, and NC4 of what it decided."""

import pytest
import torch
from mmpretrain.models.heads import LinearClsHead
from mmpretrain.structures import DataSample

from mmlt.analysis import Outputs, classifier_of, measure
from mmlt.functional import class_means, neural_collapse
from mmlt.models.heads import TripartiteHead

K, D, N = 5, 4, 200
COUNTS = [100, 50, 20, 10, 5]
ADJUSTED = dict(adjustment=dict(type='LogitAdjustment', tau=2.0))


def make_head(classifier, **options):
    torch.manual_seed(0)
    head = TripartiteHead(K, D, COUNTS, classifier=dict(type=classifier), **options).eval()
    # Vectors of different lengths: that they are normalised, or are not, must show.
    with torch.no_grad():
        head.classifier.weight *= torch.tensor([3.0, 1.0, 0.5, 2.0, 0.1]).unsqueeze(1)
    return head


def predicted(head):
    """Features of very different lengths around their class vectors, and the head's answers."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(N) % K
    lengths = torch.logspace(-1, 1, N).unsqueeze(1)
    noise = torch.randn(N, D, generator=generator)
    features = lengths * (head.classifier.weight.detach()[labels] + noise)
    with torch.no_grad():
        samples = head.predict((features,), [DataSample() for _ in labels])
    scores = torch.stack([sample.pred_score for sample in samples])
    confidence, predictions = scores.max(dim=1)
    return Outputs(features, labels, predictions, confidence, {}, [], {}, {})


@pytest.mark.parametrize(
    ('classifier', 'options'),
    [
        ('NormedLinear', {}),
        ('CosineLinear', {}),
        ('CosineLinear', ADJUSTED),
        ('TauNormLinear', {}),
        ('torch.nn.Linear', {}),
        ('torch.nn.Linear', ADJUSTED),
    ],
)
def test_the_weight_is_that_which_multiplies_the_features(classifier, options):
    head = make_head(classifier, **options)
    found = classifier_of(head, D)
    assert torch.equal(found.vectors, head.classifier.weight)
    features = torch.randn(50, D, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = (head((features,)) - head((torch.zeros(1, D),))).double()
    if classifier == 'CosineLinear':  # of features of unit length
        logits *= features.double().norm(dim=1, keepdim=True)
    torch.testing.assert_close(features.double() @ found.weight.T, logits, rtol=1e-5, atol=1e-5)


def loop_nc4(outputs):
    """Of each sample: is the class that was predicted the one of the nearest mean?"""
    means = class_means(outputs.features, outputs.labels, K)
    wrong = 0
    for x, prediction in zip(outputs.features.double(), outputs.predictions.tolist()):
        distances = [(x - mean).norm().item() for mean in means]
        wrong += distances.index(min(distances)) != prediction
    return wrong / N


@pytest.mark.parametrize('classifier', ['CosineLinear', 'NormedLinear', 'torch.nn.Linear'])
@pytest.mark.parametrize('options', [{}, ADJUSTED])
def test_nc4_is_of_what_the_head_predicts(classifier, options):
    head = make_head(classifier, **options)
    outputs = predicted(head)
    found = classifier_of(head, D)
    collapse = measure(outputs, found, K)[2]
    assert collapse['nc4'] == pytest.approx(loop_nc4(outputs), abs=1e-12)
    # A linear reading of the same head is right where the head is linear, and only there.
    with torch.no_grad():
        bias = head((torch.zeros(1, D),))[0].double()
    linear = neural_collapse(outputs.features, outputs.labels, found.weight, bias)
    assert (linear['nc4'].item() == collapse['nc4']) == (not (options and 'Cosine' in classifier))
    for name, value in linear.items():
        assert name == 'nc4' or value.item() == pytest.approx(collapse[name], rel=1e-12)


@pytest.mark.parametrize(
    'head', [LinearClsHead(K, D), LinearClsHead(K, D + 1), torch.nn.Identity()], ids=range(3)
)
def test_a_classifier_is_found_where_it_takes_the_features_as_they_are(head):
    found = classifier_of(head, D)
    if getattr(getattr(head, 'fc', None), 'in_features', None) == D:
        torch.testing.assert_close(found.weight, head.fc.weight.double(), rtol=1e-6, atol=1e-7)
    else:
        assert found is None
