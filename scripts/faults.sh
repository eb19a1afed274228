#!/bin/sh
# Interrupts driftlock at random moments and counts what was lost: faults.sh [TRIALS] [FAULT...]
#
# TRIALS is the number for each fault (200), or "all": every byte offset where a connection is cut. Without a FAULT
# all of them are tried; "faults.sh list" names them. SEED repeats an earlier run, TRIAL=N the one trial of it; PART=2/8
# is the second eighth of the trials.
# DRIFTLOCK is the binary. The disks that fail need root. Ends with 1 when anything was lost.
set -eu
cd -- "$(dirname -- "$(readlink -f -- "$0")")/.."

DRIFTLOCK=${DRIFTLOCK:-target/release/driftlock}
[ -x "$DRIFTLOCK" ] || DRIFTLOCK=target/debug/driftlock
if [ ! -x "$DRIFTLOCK" ]; then
    printf 'faults.sh: there is no binary; run: cargo build --release\n' >&2
    exit 2
fi
DRIFTLOCK=$(readlink -f -- "$DRIFTLOCK")
export DRIFTLOCK
# Nothing of whoever runs this takes part.
unset DOCKER_HOST DOCKER_CONTEXT SSH_AUTH_SOCK DRIFTLOCK_LOG GITHUB_ACTIONS GITHUB_STEP_SUMMARY || :
# The system's own Python has the binding of FUSE.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
if [ "$(id -u)" -eq 0 ]; then
    # What is mounted is seen by nobody else, and is gone with the last process in here.
    exec unshare -m --propagation private "$python" -B scripts/faults "$@"
fi
exec "$python" -B scripts/faults "$@"
