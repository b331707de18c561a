"""Packaging of mmlt. ``pip install -e '.[lite]'`` for a first try; see README.md."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
UPSTREAM = ['mmengine>=0.10.7,<0.12', 'mmpretrain>=1.2.0,<1.4']


def read_version():
    """Read the version without importing the package, whose requirements may be missing yet."""
    text = (ROOT / 'mmlt' / '__init__.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '([^']+)'", text, re.MULTILINE).group(1)


class BuildWithConfigs(build_py):
    """Puts configs, tools and the model index into the wheel, where mmengine looks for them.

    In a checkout, and so in an editable installation, ``mmlt/.mim`` holds links to them.
    """

    def run(self):
        """Build, then copy."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / 'mmlt' / '.mim'
        shutil.rmtree(target, ignore_errors=True)  # of an earlier build
        target.mkdir(parents=True)
        shutil.copy(ROOT / 'model-index.yml', target)
        for name in ('configs', 'tools'):
            shutil.copytree(
                ROOT / name,
                target / name,
                ignore=shutil.ignore_patterns('__pycache__', '*.pyc', '*.png'),
            )


setup(
    name='mmlt',
    version=read_version(),
    description='Long-tailed image recognition for the OpenMMLab stack',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    classifiers=[
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    python_requires='>=3.11',
    packages=find_packages(include=['mmlt', 'mmlt.*']),
    package_data={'mmlt': ['py.typed'], 'mmlt.datasets': ['class_counts/*.json']},
    cmdclass=dict(build_py=BuildWithConfigs),
    install_requires=[
        'matplotlib>=3.9',
        'numpy',
        'scikit-learn>=1.5',
        'setuptools<82',  # mmengine imports pkg_resources and distutils while it runs
        'torch>=2.6',  # before, torch.load runs whatever a checkpoint says
        'torchvision>=0.21',
    ],
    extras_require={
        # The mm stack: one of these, never two, as they install the same files.
        'lite': ['mmcv-lite>=2.2.0,<2.4', *UPSTREAM],
        'full': ['mmcv>=2.2.0,<2.4', *UPSTREAM],
        'onedl': [
            'onedl-mmcv>=2.3.6,<2.4',
            'onedl-mmengine>=0.10.12,<0.12',
            'onedl-mmpretrain>=1.3.6,<1.4',
        ],
        # Class vectors of a CLIP model's text tower, and its image tower for mmpretrain.
        'text': ['transformers>=4.57,<6'],
        'test': [
            'hypothesis',
            'mypy>=2.4,<2.5',
            'onnx',
            'onnxruntime',
            'pytest',
            'pytest-xdist',
            'ruff>=0.17.5,<0.18',
            'setuptools>=70.1',  # builds wheels by itself
            'tensorboard',
            'transformers>=4.57,<6',
        ],
    },
    zip_safe=False,
)
