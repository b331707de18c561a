"""What a current torch, numpy and matplotlib need of mmengine 0.10, mmcv 2.2 and mmpretrain 1.2.

One function a fault, each named after what it makes work again. Every one is idempotent and does
nothing where upstream is already right. ``apply`` runs them all; ``import mmlt`` calls it.

Not here: ``pkg_resources`` and ``distutils``, which setuptools >= 82 no longer brings. mmengine
imports them late, in functions that several of its modules hold copies of, so a dependency on
``setuptools<82`` is the smaller and surer mend.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
import os
import re
import sys
import types

# Import name -> tested range, first included and last excluded, and the distributions that bring
# it; setup.py states the same. Release candidates count as their release.
SUPPORTED = {
    'mmengine': ('0.10.7', '0.12', ('mmengine', 'mmengine-lite', 'onedl-mmengine')),
    'mmcv': ('2.2.0', '2.4', ('mmcv-lite', 'mmcv', 'mmcv-full', 'onedl-mmcv')),
    'mmpretrain': ('1.2.0', '1.4', ('mmpretrain', 'onedl-mmpretrain')),
}


def check_mm_stack():
    """Check, before anything imports them, that the mm packages are there in a tested version.

    The modules are asked, not the names of distributions: OpenMMLab's and the maintained onedl
    ones have the same import names. Two of them over each other are half of each.

    Raises:
        ImportError: a package is missing, outside its range, or installed twice; one line that
            says what to do.
    """
    for name, (first, last, distributions) in SUPPORTED.items():
        known = {d: v for d in distributions if (v := _version(d)) is not None}
        if len(known) > 1:
            both = ' and '.join(f'{d} {v}' for d, v in known.items())
            one = next(iter(known))
            raise ImportError(
                f'{name} is installed twice, by {both}, over each other: pip uninstall -y '
                f"{' '.join(known)}, then pip install '{one}>={first},<{last}' (or the other one)"
            )
        label = next(iter(known), distributions[0])
        found = _module_version(name, known.get(label))
        if found is None:
            raise ImportError(
                f"mmlt needs {label} >= {first}, < {last}, found None: pip install 'mmlt[lite]' "
                '(or mmlt[full], mmlt[onedl])'
            )
        if not _release(first) <= _release(found) < _release(last):
            raise ImportError(
                f'mmlt needs {label} >= {first}, < {last}, found {found}: '
                f"pip install '{label}>={first},<{last}'"
            )


def apply():
    """Apply every fix of this module."""
    run_amp_on_cpu()
    run_processes_on_cpu()
    shift_hue_backwards()
    mend_workers_too()
    compute_retrieval_metrics()
    infer_as_tested()
    find_own_configs()
    format_config_once()


def run_amp_on_cpu():
    """Let ``AmpOptimWrapper`` train on a CPU, where autocast means bfloat16.

    Fault: mmengine <= 0.10.7, ``AssertionError: AmpOptimizerWrapper is only available training on
    gpu, npu, mlu or musa``, though its autocast knows the CPU. The gradient scaler it builds turns
    itself off without CUDA. Machines with an accelerator are left as they are.
    """
    from mmengine.device import get_device
    from mmengine.optim.optimizer import amp_optimizer_wrapper

    if get_device() == 'cpu':
        # The module asks this only for the sake of its assertion.
        amp_optimizer_wrapper.is_cuda_available = _no_gpu_needed


def run_processes_on_cpu():
    """Let ``launcher='pytorch'`` start several processes on a machine without accelerator.

    Fault: mmengine <= 0.10.7 selects a CUDA device for each process whatever the machine
    (``RuntimeError: ... no NVIDIA driver``) and then hands its number to DistributedDataParallel
    (``ValueError: DistributedDataParallel device_ids and output_device arguments only work with
    ...``). Mended where every Runner passes, so neither scripts nor configs need to know: without
    accelerator the process group is gloo's, and a model on the CPU is wrapped without device_ids.
    """
    import mmengine.dist.utils as dist_utils
    from mmengine.model import MMDistributedDataParallel

    if not _is_ours(dist_utils._init_dist_pytorch):
        dist_utils._init_dist_pytorch = _gloo_without_gpu(dist_utils._init_dist_pytorch)
    if not _is_ours(MMDistributedDataParallel.__init__):
        MMDistributedDataParallel.__init__ = _no_device_ids_on_cpu(
            MMDistributedDataParallel.__init__
        )


def shift_hue_backwards():
    """Let ``ColorJitter(hue=...)`` turn the hue in the negative direction.

    Fault: mmcv 2.2 under numpy >= 2, ``OverflowError: Python integer -7 out of bounds for uint8``
    from ``mmcv.adjust_hue``, for about half of all images.
    """
    import mmcv
    import numpy as np

    original = mmcv.adjust_hue
    try:
        original(np.zeros((1, 1, 3), np.uint8), -0.1, backend='cv2')
    except OverflowError:

        @functools.wraps(original)
        def adjust_hue(img, hue_factor, backend=None):
            return original(img, _CyclicHue(hue_factor), backend)

        for module in (mmcv, mmcv.image, sys.modules[original.__module__]):
            module.adjust_hue = adjust_hue


def mend_workers_too():
    """Let data workers that do not inherit this process have the same mends.

    Fault: a worker that is spawned (``mp_start_method='spawn'`` or 'forkserver') imports what its
    dataset needs; with a dataset of mmpretrain's that is not mmlt, and ``ColorJitter(hue=...)``
    fails there. :func:`worker_init_fn`, which a Runner hands every worker, is found in this module.
    """
    from mmengine.runner import runner

    runner.default_worker_init_fn = worker_init_fn


def worker_init_fn(worker_id, *args, **kwargs):
    """mmengine's; to find it, a spawned worker imports mmlt, which mends it."""
    from mmengine.dataset import worker_init_fn as original

    original(worker_id, *args, **kwargs)


def infer_as_tested():
    """Let mmpretrain's inferencers see images as the test of their config does.

    Faults: mmpretrain 1.2 reads every image as BGR, also where the dataset has its images in
    memory as RGB (CIFAR's pickles) and nothing turns them: red and blue are swapped. A dataset in a
    wrapper is an ``AttributeError: 'ConfigDict' object has no attribute 'pipeline'``.
    """
    from mmpretrain import FeatureExtractor, ImageClassificationInferencer, ImageRetrievalInferencer

    for inferencer in (ImageClassificationInferencer, FeatureExtractor, ImageRetrievalInferencer):
        if not _is_ours(inferencer._init_pipeline):
            inferencer._init_pipeline = _pipeline_of_the_test(inferencer._init_pipeline)


def compute_retrieval_metrics():
    """Let ``RetrievalRecall`` and ``RetrievalAveragePrecision`` run.

    Fault: mmpretrain 1.2 under numpy >= 2.4, ``AttributeError: module 'numpy' has no attribute
    'in1d'``. Only mmpretrain's module sees the old name again; numpy itself is not touched.
    """
    import numpy as np
    from mmpretrain.evaluation.metrics import retrieval

    if not hasattr(retrieval.np, 'in1d'):
        numpy = types.ModuleType('numpy')
        numpy.__getattr__ = functools.partial(getattr, np)
        numpy.in1d = lambda array, test: np.isin(np.ravel(array), test)
        retrieval.np = numpy


def format_config_once():
    """Let a checkpoint not cost the formatting of the config's text, which is the same each time.

    Fault: mmengine has yapf format the whole config for every checkpoint; where epochs are short
    that takes as long as the training. The last texts are remembered, by the text itself.
    """
    from mmengine.config import config

    if hasattr(config, 'FormatCode') and not _is_ours(config.FormatCode):
        config.FormatCode = _remember_texts(config.FormatCode)


def find_own_configs():
    """Let ``_base_ = 'mmlt::...'`` and ``get_config('mmlt::...')`` find the configs of mmlt.

    Fault: mmengine reads the configs of the packages on its list alone, and until 0.10 looks for
    an editable installation in site-packages, where it is not. The folder of the package that was
    imported is the right one. What mmengine finds there, in ``.mim``, setup.py put into the wheel;
    in a checkout it is links.
    """
    import mmengine.config.config
    import mmengine.config.utils
    import mmengine.hub.hub

    mmengine.config.utils.MODULE2PACKAGE['mmlt'] = 'mmlt'
    for module in (mmengine.config.config, mmengine.hub.hub):
        if not _is_ours(module.get_installed_path):
            module.get_installed_path = _own_path(module.get_installed_path)


def _is_ours(function) -> bool:
    from mmlt.mends import is_ours  # not above: this file is read before there is an mm package

    return is_ours(function)


def _remember_texts(format_code, most=8):
    known = {}

    @functools.wraps(format_code)
    def wrapper(text, **options):
        key = text, repr(sorted(options.items()))
        if key not in known:
            if len(known) >= most:
                known.clear()
            known[key] = format_code(text, **options)
        return known[key]

    return wrapper


def _own_path(get_installed_path):
    folder = os.path.dirname(os.path.abspath(__file__))

    @functools.wraps(get_installed_path)
    def wrapper(package):
        if package != 'mmlt':
            return get_installed_path(package)
        if not os.path.isdir(os.path.join(folder, '.mim', 'configs')):
            raise FileNotFoundError(
                f'{folder} has no .mim/configs, where mmlt:: looks: this is a checkout without '
                'its links. Name the config by its path, or install mmlt without -e'
            )
        return folder

    return wrapper


def _version(distribution):
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _module_version(name, recorded):
    """``__version__`` of a package that is not imported: from its version.py, or its record."""
    spec = importlib.util.find_spec(name)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = os.path.join(folder, 'version.py')
        if os.path.isfile(path):
            with open(path, encoding='utf-8') as file:
                text = file.read()
            match = re.search(r"^__version__ = (version\()?['\"]([^'\"]+)", text, re.MULTILINE)
            if match:  # onedl's ask for the version of their distribution
                return _version(match[2]) if match[1] else match[2]
    return recorded if spec else None


def _release(version):
    numbers = [int(number) for number in re.findall(r'\d+', version)[:3]]
    return tuple(numbers + [0] * (3 - len(numbers)))


def _no_gpu_needed():
    return True


def _gloo_without_gpu(init_dist_pytorch):
    @functools.wraps(init_dist_pytorch)
    def wrapper(backend, init_backend='torch', **kwargs):
        from mmengine.device import get_device
        from torch import distributed

        if get_device() != 'cpu' or init_backend != 'torch':
            return init_dist_pytorch(backend, init_backend=init_backend, **kwargs)
        # 'nccl' is mmengine's default and cannot be meant here; any other choice is the user's.
        return distributed.init_process_group('gloo' if backend == 'nccl' else backend, **kwargs)

    return wrapper


def _no_device_ids_on_cpu(init):
    @functools.wraps(init)
    def wrapper(self, module, *args, **kwargs):
        if all(parameter.device.type == 'cpu' for parameter in module.parameters()):
            kwargs['device_ids'] = None
        init(self, module, *args, **kwargs)

    return wrapper


def _pipeline_of_the_test(init_pipeline):
    @functools.wraps(init_pipeline)
    def wrapper(self, cfg):
        from mmengine.config import Config
        from mmengine.dataset import Compose

        dataset = cfg.test_dataloader.dataset
        while 'pipeline' not in dataset and 'dataset' in dataset:
            dataset = dataset.dataset  # of a wrapper
        test = dict(test_dataloader=dict(dataset=dict(pipeline=dataset.pipeline)))
        pipeline = init_pipeline(self, Config(test))
        in_memory = not any('LoadImage' in str(step['type']) for step in dataset.pipeline)
        if in_memory and not getattr(self.model.data_preprocessor, 'to_rgb', True):
            return Compose([_bgr_to_rgb, pipeline])
        return pipeline

    return wrapper


def _bgr_to_rgb(results):
    return dict(results, img=results['img'][..., ::-1].copy())


class _CyclicHue(float):
    """A hue shift that is counted modulo 256 when scaled, as uint8 itself did before numpy 2."""

    def __mul__(self, steps):
        return int(float(self) * steps) % 256
