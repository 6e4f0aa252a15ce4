#!/usr/bin/env bash
# Corpora → rows → training → Hugging Face folder → evaluation, for one member of the family. What each step does is in its own file.
# usage: run.sh SIZE CORPORA_DIR WORK_DIR      SIZE = 1m | 3m (CPU) | 15m | 50m (one GPU) | tiny (a minute, to try the path)
# Run it again to go on after an interruption. MINUTES=… changes the budget, CONTEXT=… the longest rows, START_FROM=state.pt begins from other weights.
# A longer run out of a finished one: RUN=longer GO_ON_FROM=WORK_DIR/pebble-SIZE/before-cooldown.pt MINUTES=(in all, the old ones too) run.sh …
set -euo pipefail
size=$1 corpora=$2 work=$3
here=$(cd "$(dirname "$0")" && pwd)
scale=1 conversations=120000 first_level=0.5 context=512
case $size in
  tiny) shape='--dim 32 --layers 2 --heads 2 --ffn 64 --batch 4'; minutes=${MINUTES:-1}; scale=0.02; conversations=600 ;;
  1m)   shape='--dim 128 --layers 4 --heads 4 --ffn 384 --batch 12'; minutes=${MINUTES:-360}; scale=2; conversations=400000 ;;
  3m)   shape='--dim 192 --layers 6 --heads 6 --ffn 512 --batch 12'; minutes=${MINUTES:-360}; scale=2; conversations=400000 ;;
  15m)  shape='--dim 384 --layers 8 --heads 6 --ffn 1024 --batch 128'; context=1024; minutes=${MINUTES:-40}; scale=50; conversations=2000000; first_level=0.2 ;;
  50m)  shape='--dim 640 --layers 12 --heads 10 --ffn 1728 --batch 128'; context=1024; minutes=${MINUTES:-120}; scale=50; conversations=4000000; first_level=0.2 ;;
  *) echo "unknown size '$size': use tiny, 1m, 3m, 15m or 50m" >&2; exit 2 ;;
esac
cd "$here"
# glibc gives large blocks back to the kernel after every step and then pays for the page faults; keep them.
export MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=68719476736 MALLOC_TOP_PAD_=268435456
data=$work/data-$size run=${RUN:-pebble-$size}
[ -f "$data/shares.json" ] || python check_reserved.py 20000
[ -f "$data/shares.json" ] || python corpora.py "$corpora" "$data" --tokenizer ../pebble-1m/tokenizer.json --scale $scale --conversations $conversations --first-level $first_level --context "${CONTEXT:-$context}"
# shellcheck disable=SC2086
python train.py --data "$data" --out "$work/$run" --minutes "$minutes" $shape ${START_FROM:+--start-from "$START_FROM"} ${GO_ON_FROM:+--go-on-from "$GO_ON_FROM"} ${NO_COMPILE:+--no-compile}
python export.py "$work/$run" "$data" "$work/export/$run"
python ../eval/evaluate.py "$work/export/$run" --corpora "$corpora" --conversations "${EVAL:-200}" --out "$work/export/$run/evaluation.json"
