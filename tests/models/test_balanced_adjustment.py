"""Logit adjustment on what balanced softmax trained: the training prior is out already."""

import pytest
import torch

from mmlt.models.heads import DBMHead, TripartiteHead

COUNTS, TARGET = [90, 9, 1], [1, 9, 90]
BALANCED = dict(type='BalancedSoftmaxLoss')
WEIGHTED = dict(type='ClassBalancedLoss', criterion=BALANCED)


def head(joint, kind=TripartiteHead, **adjustment):
    return kind(3, 4, class_counts=COUNTS, joint=joint, adjustment=adjustment)


def shift(module) -> torch.Tensor:
    features = torch.rand(2, 4)
    moved = module((features,))
    return moved - module.classifier(features)


@pytest.mark.parametrize('joint', [BALANCED, WEIGHTED])
@pytest.mark.parametrize('kind', [TripartiteHead, DBMHead])
def test_only_the_target_prior_is_added(joint, kind):
    added = shift(head(joint, kind, target_class_counts=TARGET))
    wanted = (torch.tensor(TARGET) / 100).log().expand(2, 3)
    torch.testing.assert_close(added, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize('joint', ['softmax', 'sigmoid', dict(BALANCED, tau=0.0)])
def test_other_criteria_have_both_priors_changed(joint):
    added = shift(head(joint, target_class_counts=TARGET))
    wanted = (torch.tensor(TARGET) / 100).log() - (torch.tensor(COUNTS) / 100).log()
    torch.testing.assert_close(added, wanted.expand(2, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize('joint', [BALANCED, WEIGHTED])
def test_without_a_target_it_is_refused_with_the_way_out(joint):
    with pytest.raises(ValueError, match='a second time.*target_class_counts.*balanced=False'):
        head(joint)
    torch.testing.assert_close(
        shift(head(joint, balanced=False))[0], -(torch.tensor(COUNTS) / 100).log()
    )


@pytest.mark.parametrize(('tau', 'target'), [(0.5, TARGET), (0.5, None), (2.0, None)])
def test_what_the_training_left_of_the_prior_is_taken_out(tau, target):
    # Trained with strength tau, the logits still hold (1 - tau) log pi.
    added = shift(head(dict(BALANCED, tau=tau), target_class_counts=target))[0]
    prior = (torch.tensor(COUNTS) / sum(COUNTS)).log()
    wanted = 0 if target is None else (torch.tensor(target) / sum(target)).log()
    torch.testing.assert_close(added, wanted - (1 - tau) * prior, atol=1e-5, rtol=0)


def test_counts_of_other_classes_are_refused():
    with pytest.raises(ValueError, match='LogitAdjustment has 1 classes, num_classes is 3'):
        head('softmax', class_counts=[5])


def test_the_bayes_classifier_of_a_gaussian_mixture():
    # Two classes N(+-1, 1), 9:1 in training, 1:9 in the test: log odds of a balanced model are 2x.
    x = torch.tensor([[-0.7], [0.3], [1.1]])
    module = TripartiteHead(
        2, 1, class_counts=[90, 10], classifier=dict(type='torch.nn.Linear'), joint=BALANCED,
        adjustment=dict(target_class_counts=[10, 90]),
    )  # fmt: skip
    with torch.no_grad():
        module.classifier.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        module.classifier.bias.zero_()
    density = torch.distributions.Normal(torch.tensor([1.0, -1.0]), 1.0).log_prob(x).exp()
    posterior = density * torch.tensor([0.1, 0.9])
    torch.testing.assert_close(
        module((x,)).softmax(dim=1), posterior / posterior.sum(dim=1, keepdim=True)
    )
