"""Train in two runs: STAGE1, then STAGE2 from the last weights of the first.

    python tools/train_two_stage.py STAGE1 STAGE2 --work-dir DIR

Every stage is a run of tools/train.py (tools/dist_train.sh with --gpus), into DIR/stage1 and
DIR/stage2; its command is printed first, so that it can be run by hand. Ends with both tables, or
with the exit status of the stage that failed.
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


def parse_args() -> argparse.Namespace:
    """Read the command line."""
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
    parser.add_argument('--gpus', type=int, default=1, metavar='N', help='processes of each stage')
    for stage in (1, 2):
        parser.add_argument(
            f'--stage{stage}-options',
            nargs='+',
            default=[],
            metavar='key=value',
            help=f'--cfg-options of stage {stage}',
        )
    args = parser.parse_args()
    for name in ('stage1', 'stage2'):
        if not os.path.isfile(getattr(args, name)):
            parser.error(f'{name.upper()} {getattr(args, name)} does not exist')
    if args.gpus < 1:
        parser.error(f'--gpus must be >= 1, got {args.gpus}')
    if set(' ,') & set(os.path.abspath(args.work_dir)):
        # Stage 2 is told the checkpoint by --cfg-options, which drops spaces and splits at commas.
        parser.error(f'--work-dir must have no space or comma, got {args.work_dir!r}')
    return args


def end_with_this_tool() -> None:
    """In the child: stop in order when this tool ends, however it ends (Linux only)."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def run_stage(stage: int, args: argparse.Namespace, *options: str) -> str:
    """Run a stage to its end; returns the table that it printed last."""
    tools = Path(__file__).parent
    config = getattr(args, f'stage{stage}')
    options = [*getattr(args, f'stage{stage}_options'), *options]
    command = [sys.executable, str(tools / 'train.py'), config]
    if args.gpus > 1:
        command = [str(tools / 'dist_train.sh'), config, str(args.gpus)]
    command += ['--work-dir', os.path.join(args.work_dir, f'stage{stage}')]
    command += ['--resume'] * args.resume + ['--cfg-options', *options] * bool(options)
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
            if line.split()[:3] == ['many', 'medium', 'few']:
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
    args = parse_args()
    first = run_stage(1, args)
    # mmengine's find_latest_checkpoint reads the same file; to import it takes seconds.
    last = Path(args.work_dir, 'stage1', 'last_checkpoint')
    if not last.exists():
        sys.exit(f'error: stage 1 wrote no checkpoint: {last} does not exist')
    # A resumed stage 2 has its own weights: train.py --resume then ignores load_from.
    named = Path(last.read_text().strip())
    here = last.with_name(named.name)  # also after the work dir was moved
    second = run_stage(2, args, f'load_from={here if here.is_file() else named}')
    print(f'# stage 1\n{first}# stage 2\n{second}', end='')


if __name__ == '__main__':
    main()
