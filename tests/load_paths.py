"""Run as a program: every hostile file through every way into mmlt, and what came of it.

    python tests/load_paths.py FOLDER MARK

Prints a line ``way|file|error``; 'loaded' in the place of an error is what must not happen.
"""

import functools
import http.server
import json
import os
import re
import sys
import threading
from pathlib import Path

FOLDER, MARK = Path(sys.argv[1]), sys.argv[2]
os.environ['MMENGINE_HOME'] = str(FOLDER / 'home')
os.environ['TORCH_HOME'] = str(FOLDER / 'torch')

import torch  # noqa: E402
from hostile import hostile_files  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.fileio import LocalBackend, register_backend  # noqa: E402
from mmengine.hooks import CheckpointHook  # noqa: E402
from mmengine.model import PretrainedInit  # noqa: E402
from mmengine.runner import CheckpointLoader, Runner, checkpoint, load_checkpoint  # noqa: E402
from mmpretrain import ImageClassificationInferencer, get_model  # noqa: E402

import mmlt  # noqa: E402

ZOOS = ('torchvision', 'modelzoo', 'open-mmlab', 'mmcls')
ROOT = Path(mmlt.__file__).parents[1]


class Store(LocalBackend):
    """Stands for an object store: what petrel's client would bring."""

    def get(self, filepath):
        return (FOLDER / filepath.rsplit('/', 1)[-1]).read_bytes()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the folder and does not talk about it."""

    def log_message(self, *args):
        pass


def serve() -> str:
    handler = functools.partial(Quiet, directory=str(FOLDER))
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f'http://127.0.0.1:{server.server_port}'


def ways() -> dict:
    """Name -> a function of a path."""
    cfg = Config.fromfile(ROOT / 'configs/bce3s/resnet20_digits-lt.py')
    cfg.work_dir, cfg.log_level = str(FOLDER / 'work'), 'ERROR'
    runner = Runner.from_cfg(cfg)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    model, address = runner.model, serve()
    register_backend('petrel', Store, prefixes='s3', force=True)
    names = {path.stem: f'{address}/{path.name}' for path in FOLDER.glob('*.pth')}
    (FOLDER / 'home').mkdir()
    (FOLDER / 'home' / 'open_mmlab.json').write_text(json.dumps(names))
    checkpoint.get_torchvision_models = lambda: names
    checkpoint.get_mmcls_models = lambda: names

    def scheme(prefix):
        return lambda path: CheckpointLoader.load_checkpoint(f'{prefix}://{path.stem}')

    def run_test(path):
        runner._load_from, runner._has_loaded = str(path), False
        runner.test()

    def publish(path):
        CheckpointHook(published_keys=['state_dict'])._publish_model(runner, str(path))

    return {
        'load': mmlt.checkpoint.load,
        'load_from': lambda path: runner.load_checkpoint(str(path)),
        'resume': lambda path: runner.resume(str(path)),
        'test': run_test,
        'publish': publish,
        'init_cfg': lambda path: PretrainedInit(str(path))(model.backbone),
        'init_cfg with prefix': lambda path: PretrainedInit(str(path), 'backbone.')(model.backbone),
        'load_checkpoint': lambda path: load_checkpoint(model, str(path)),
        'get_model': lambda path: get_model(cfg.copy(), pretrained=str(path)),
        'inferencer': lambda path: ImageClassificationInferencer(model, pretrained=str(path)),
        'http': lambda path: load_checkpoint(model, f'{address}/{path.name}'),
        's3': lambda path: load_checkpoint(model, f's3://bucket/{path.name}'),
        'torchvision': scheme('torchvision'),
        'modelzoo': scheme('modelzoo'),
        'open-mmlab': scheme('open-mmlab'),
        'mmcls': scheme('mmcls'),
        'torch.load': functools.partial(torch.load, weights_only=True),
    }


def main() -> None:
    files = hostile_files(FOLDER, MARK)
    for way, load in ways().items():
        for number, path in enumerate(files):
            # torch's own reader believes sizes; it is not what mmlt loads with.
            if way == 'torch.load' and not re.search('_array|_scalar|getattr|globals', path.stem):
                continue
            if way in ZOOS and number % 8:
                continue  # the road from there on is that of http
            try:
                load(path)
                error = 'loaded'
            except Exception as caught:
                error = f'{type(caught).__name__}: {caught}'
            print(f'{way}|{path.stem}|{error!r}', flush=True)
    # Not ru_maxrss: a process starts with that of the one that started it, here a worker of pytest.
    peak = int(re.search(r'VmHWM:\s+(\d+) kB', Path('/proc/self/status').read_text())[1]) // 1024
    print(f'peak MiB:{peak}', file=sys.stderr)


if __name__ == '__main__':
    main()
