"""Every short form of a preset head reaches its part, and none is forgotten here."""

import inspect

import pytest
from mmpretrain.registry import MODELS

from mmlt.models import heads

COUNTS = [50, 5, 20]  # the last class is not the smallest
# Head -> short form -> (a value that is not the default, where it must stand).
FORMS = {
    'DBMHead': {
        'scale': (7.0, lambda head: head.classifier.scale),
        'max_margin': (0.05, lambda head: round(float(margin(head).class_margin.max()), 6)),
        # The margins fall as n^-tau: log(0.1 / smallest) / log(50 / 5).
        'tau': (2.0, lambda head: fall(margin(head).class_margin)),
        'reference': ('last', lambda head: round(float(margin(head).class_margin[-1]), 6) == 0.1),
        'instance_margin': ('none', lambda head: margin(head).instance_margin),
    },
    'BCE3SHead': {
        'negative_ratio': (0.2, lambda head: head.slots['joint'].criterion.negative_ratio),
        'contrast_weight': (0.3, lambda head: head.slots['contrast'].criterion.loss_weight),
        'uniform_weight': (1.25, lambda head: head.slots['uniform'].criterion.loss_weight),
        'temperature': (0.5, lambda head: head.slots['contrast'].temperature),
        'contrast_reduction': ('mean', lambda head: head.slots['contrast'].reduction),
    },
    'BCLHead': {
        'joint_weight': (3.0, lambda head: head.slots['joint'].criterion.loss_weight),
        'contrast_weight': (0.7, lambda head: head.slots['contrast'].criterion.loss_weight),
        'temperature': (0.3, lambda head: head.slots['contrast'].criterion.temperature),
        'class_averaging': (False, lambda head: head.slots['contrast'].criterion.class_averaging),
        'class_complement': (False, lambda head: head.slots['contrast'].criterion.class_complement),
        'form': ('L2', lambda head: head.slots['contrast'].criterion.form),
    },
    'GMLHead': {
        'joint_weight': (3.0, lambda head: head.slots['joint'].criterion.loss_weight),
        'contrast_weight': (0.7, lambda head: head.slots['contrast'].criterion.loss_weight),
        'distillation_weight': (0.4, lambda head: head.slots['distillation'].loss_weight),
        'queue_size': (18, lambda head: len(head.slots['contrast'].queue)),
        'temperature': (0.5, lambda head: temperature(head.slots['contrast'])),
    },
    'NCLHead': {
        'joint_weight': (3.0, lambda head: first(head, 'joint').criterion.loss_weight),
        'contrast_weight': (0.7, lambda head: first(head, 'contrast').criterion.loss_weight),
        'mining_weight': (0.4, lambda head: head.slots['mining'].loss_weight),
        'distillation_weight': (0.2, lambda head: head.slots['distillation'].loss_weight),
        'num_hard': (3, lambda head: head.slots['mining'].num_hard),
        'hard_mask': ('exclude', lambda head: head.slots['mining'].hard_mask),
    },
}  # fmt: skip
CASES = [(head, form) for head, forms in FORMS.items() for form in forms]


def margin(head):
    return head.slots['joint'].margin


def temperature(queue) -> float:
    return round(queue.log_temperature.exp().item(), 6)


def first(head, slot):
    return head.experts[0].slots[slot]


def fall(margins) -> float:
    """The power by which margins fall from 5 to 50 images."""
    return round(float((margins.max() / margins.min()).log10()), 4)


def build(name, **options):
    return MODELS.build(
        dict(type=name, num_classes=3, in_channels=4, class_counts=COUNTS) | options
    )


@pytest.mark.parametrize(('name', 'form'), CASES)
def test_a_short_form_reaches_its_part(name, form):
    value, where = FORMS[name][form]
    size = dict(queue_size=12) if name == 'GMLHead' else {}  # K = 3 is few for the default
    expected = True if form == 'reference' else value
    assert where(build(name, **size | {form: value})) == expected
    assert where(build(name, **size)) != expected  # else it would prove nothing


def test_all_short_forms_are_here():
    parts = {*inspect.signature(heads.TripartiteHead).parameters}
    parts |= {*inspect.signature(heads.ExpertsHead).parameters, 'parts'}
    for name in heads.__all__:
        own = set(inspect.signature(getattr(heads, name)).parameters) - parts
        assert own == set(FORMS.get(name, ())), name
