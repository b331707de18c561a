"""Train in two runs: STAGE1, then STAGE2 from the last weights of the first.

    python tools/train_two_stage.py STAGE1 STAGE2 --work-dir DIR [flags of train.py]

A teacher and its student: --hand-over model.companions.teacher.checkpoint, the place in STAGE2 that
the last checkpoint of STAGE1 goes to in place of load_from.

Every stage is a run of tools/train.py (tools/dist_train.sh with --gpus), into DIR/stage1 and
DIR/stage2; its command is printed first, so that it can be run by hand. Flags that are not listed
here go to both. Ends with both tables, or with the exit status of the stage that failed.

The stages must train on the same images: another draw is refused before anything is trained.
"""

import argparse
import ctypes
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def parse_args() -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; what is unknown here is for tools/train.py."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('stage1', metavar='STAGE1', help='config of the first stage')
    parser.add_argument('stage2', metavar='STAGE2', help='config of the second stage')
    parser.add_argument('--work-dir', metavar='DIR', required=True, help='folder of both runs')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on where a run stopped: each stage from its last checkpoint, if it has one',
    )
    parser.add_argument(
        '--hand-over',
        metavar='KEY',
        default='load_from',
        help='key of STAGE2 that is set to the last checkpoint of STAGE1; default: load_from',
    )
    parser.add_argument('--gpus', type=int, default=1, metavar='N', help='processes of each stage')
    parser.add_argument(
        '--class-counts', metavar='NAME', help='of both stages, as train.py takes it'
    )
    for flag, which in (('cfg', 'both stages'), ('stage1', 'stage 1'), ('stage2', 'stage 2')):
        parser.add_argument(
            f'--{flag}-options',
            nargs='+',
            default=[],
            metavar='key=value',
            help=f'--cfg-options of {which}',
        )
    args, train_flags = parser.parse_known_args()
    for name in ('stage1', 'stage2'):
        # mmengine finds what has a package in front, such as mmlt::bce3s/....py.
        if '::' not in (path := getattr(args, name)) and not os.path.isfile(path):
            parser.error(f'{name.upper()} {path} does not exist')
    for flag in ('cfg', 'stage1', 'stage2'):
        for word in getattr(args, f'{flag}_options'):
            if word.find('=') < 1:
                parser.error(f'argument --{flag}-options: expected key=value, got {word!r}')
    if args.gpus < 1:
        parser.error(f'--gpus must be >= 1, got {args.gpus}')
    if set(' ,') & set(os.path.abspath(args.work_dir)):
        # Stage 2 is told the checkpoint by --cfg-options, which drops spaces and splits at commas.
        parser.error(f'--work-dir must have no space or comma, got {args.work_dir!r}')
    return args, train_flags


def options_of(stage: int, args: argparse.Namespace) -> list[str]:
    """The ``--cfg-options`` of a stage: its own after those of both."""
    return [*args.cfg_options, *getattr(args, f'stage{stage}_options')]


def check_hand_over(args: argparse.Namespace) -> None:
    """Refuse a key that the second stage does not have: its run would never look at it."""
    if args.hand_over == 'load_from':
        return
    from mmengine.config import Config

    place = Config.fromfile(args.stage2, import_custom_modules=False)
    for part in args.hand_over.split('.'):
        if not hasattr(place, 'get') or part not in place:
            sys.exit(f'error: --hand-over {args.hand_over}: {args.stage2} has no such key')
        place = place[part]


def check_draws(args: argparse.Namespace) -> None:
    """Refuse two stages that train on different images."""
    # Imported here: a run that is told its flags are wrong need not wait for it.
    from mmengine.config import Config, DictAction

    from mmlt.config_file import merge_options  # lets mmengine find configs of mmlt:: too

    def train_set(stage: int, change=None):
        reader = argparse.ArgumentParser()
        reader.add_argument('--options', nargs='+', action=DictAction, default={})
        options = options_of(stage, args)
        options = reader.parse_args(['--options', *options] * bool(options)).options
        cfg = Config.fromfile(getattr(args, f'stage{stage}'), import_custom_modules=False)
        if change:
            cfg = change(cfg)
        try:
            merge_options(cfg, options)
        except ValueError as error:
            sys.exit(f'error: stage {stage}: {error}')
        return cfg.train_dataloader.dataset

    def without_pipeline(dataset) -> dict:
        inner = dict(dataset, pipeline=None)
        return inner | {k: without_pipeline(v) for k, v in inner.items() if k == 'dataset'}

    sets = [train_set(stage) for stage in (1, 2)]
    # Other class counts are the same for both.
    if without_pipeline(sets[0]) == without_pipeline(sets[1]):
        return
    from mmengine.registry import init_default_scope
    from mmpretrain.registry import DATASETS

    from mmlt.config_class_counts import parse_class_counts, set_class_counts
    from mmlt.datasets import describe_images, training_draw

    if args.class_counts:
        counts = parse_class_counts(args.class_counts)
        sets = [train_set(n, lambda cfg: set_class_counts(cfg, counts)) for n in (1, 2)]
    init_default_scope('mmpretrain')
    draws = [training_draw(DATASETS.build(dataset)) for dataset in sets]
    if draws[0] != draws[1]:
        lines = (
            f'stage {n}: {describe_images(dataset)}, hash {draw}'
            for n, (dataset, draw) in enumerate(zip(sets, draws), start=1)
        )
        sys.exit(
            'error: the stages train on different images, so that the second would see what the '
            'first was not trained on:\n' + '\n'.join(lines)
        )


def end_with_this_tool() -> None:
    """In the child: stop in order when this tool ends, however it ends (Linux only)."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def run_stage(stage: int, args: argparse.Namespace, flags: list[str], *options: str) -> str:
    """Run a stage to its end; returns the table that it printed last."""
    tools = Path(__file__).parent
    config = getattr(args, f'stage{stage}')
    options = [*options_of(stage, args), *options]
    command = [sys.executable, str(tools / 'train.py'), config]
    if args.gpus > 1:
        command = [str(tools / 'dist_train.sh'), config, str(args.gpus)]
    command += ['--work-dir', os.path.join(args.work_dir, f'stage{stage}')]
    command += ['--class-counts', args.class_counts] if args.class_counts else []
    command += ['--resume'] * args.resume + flags
    command += ['--cfg-options', *options] * bool(options)
    print(f'# stage {stage}\n{shlex.join(command)}', flush=True)
    lines, stopped = [], []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, preexec_fn=end_with_this_tool
    ) as run:

        def pass_on(signum, frame):
            stopped.append(signum)
            run.send_signal(signum)

        before = {signum: signal.signal(signum, pass_on) for signum in SIGNALS}
        for line in run.stdout:
            print(line, end='', flush=True)
            if line.startswith('validated on '):
                lines = [line]
            elif lines:
                lines.append(line)
    for signum, handler in before.items():
        signal.signal(signum, handler)
    if stopped:
        print(f'stage {stage} stopped; to go on: the same command with --resume', file=sys.stderr)
        signal.signal(stopped[0], signal.SIG_DFL)
        os.kill(os.getpid(), stopped[0])
    if run.returncode:
        print(f'stage {stage} failed', file=sys.stderr)
        sys.exit(run.returncode)
    return ''.join(lines)


def main() -> None:
    """Run both stages, then print both tables."""
    args, flags = parse_args()
    check_hand_over(args)
    check_draws(args)
    first = run_stage(1, args, flags)
    # mmengine's find_latest_checkpoint reads the same file; to import it takes seconds.
    last = Path(args.work_dir, 'stage1', 'last_checkpoint')
    if not last.exists():
        sys.exit(f'error: stage 1 wrote no checkpoint: {last} does not exist')
    # A resumed stage 2 has its own weights: train.py --resume then ignores load_from. A teacher is
    # loaded again.
    named = Path(last.read_text().strip())
    here = last.with_name(named.name)  # also after the work dir was moved
    second = run_stage(2, args, flags, f'{args.hand_over}={here if here.is_file() else named}')
    print(f'# stage 1\n{first}# stage 2\n{second}', end='')


if __name__ == '__main__':
    main()
