#!/usr/bin/env bash
# Train on several processes: tools/dist_train.sh CONFIG GPUS [flags of train.py]
# Without a GPU the processes share the CPU (gloo). Several machines: NNODES, NODE_RANK, MASTER_ADDR.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [flags of train.py]" >&2
    exit 2
fi
exec python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    --nproc_per_node="$2" \
    "$(dirname "$0")/train.py" "$1" --launcher pytorch "${@:3}"
