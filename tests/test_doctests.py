"""The examples in the docstrings run; those of ``mmlt.functional`` have a test of their own."""

import doctest
import importlib
import inspect
import pkgutil

import pytest
import torch
from mmpretrain.structures import DataSample

import mmlt
import mmlt.deployment

GLOBALS = dict(torch=torch, DataSample=DataSample)
PACKAGES = [mmlt.deployment, mmlt.models, mmlt.evaluation]
NAMES = sorted(
    found.name
    for package in PACKAGES
    for found in pkgutil.walk_packages(package.__path__, f'{package.__name__}.')
    if not found.ispkg
)
# The package's own way to gather rows of processes has nothing to show on one of them.
WITHOUT_EXAMPLE = {'mmlt.models.gather'}


@pytest.mark.parametrize('name', NAMES)
def test_the_examples_in_the_docstrings_run(name):
    torch.manual_seed(0)
    result = doctest.testmod(importlib.import_module(name), extraglobs=GLOBALS)
    assert result.failed == 0
    assert result.attempted or name in WITHOUT_EXAMPLE


@pytest.mark.parametrize('name', sorted(set(NAMES) - WITHOUT_EXAMPLE))
def test_every_public_class_and_its_methods_have_docstrings(name):
    module = importlib.import_module(name)
    for attribute, value in vars(module).items():
        if attribute.startswith('_') or getattr(value, '__module__', None) != name:
            continue
        assert inspect.getdoc(value), f'{name}.{attribute} has no docstring'
        for method, function in vars(value).items():
            if inspect.isfunction(function) and not method.startswith('_'):
                assert function.__doc__, f'{name}.{attribute}.{method} has no docstring'


@pytest.mark.parametrize(
    'name',
    [
        'clip.prompts', 'config_class_counts', 'datasets.image_source',
        'datasets.transforms.posterize_floor',
    ],
)  # fmt: skip
def test_the_examples_of_single_modules_run(name):
    import argparse

    import numpy as np
    from mmengine.config import Config

    names = dict(Config=Config, argparse=argparse, np=np)
    result = doctest.testmod(importlib.import_module(f'mmlt.{name}'), extraglobs=names)
    assert (result.failed, result.attempted > 0) == (0, True)
