#!/bin/sh
# container.sh ROOT WORK GROUP…
#   A machine without its tests: for each line on standard input, boots the tree ROOT with systemd
#   as PID 1 and says on standard output with which code that ended (133: it wants to boot again).
#   ROOT is never written to: what differs is in WORK/upper, the console's text in WORK/console.
# Called with mount and pid namespaces of its own, so that nothing is left when it is killed. Each
# GROUP is a cgroup of its own.
set -eu
root=$1 work=$2
shift 2
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/scratch" "$work/tree"
# nspawn keeps locks there and tidies up what it finds.
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
for group; do echo 0 >"$group/cgroup.procs"; done
# The machine's own /dev/null or terminal must not get in: systemd would set their modes.
mkfifo "$work/silence"
exec 3<>"$work/silence"
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
while read -r _; do
    code=0
    systemd-nspawn --quiet --boot --directory="$work/tree" --machine=supervisor-tests \
        --register=no --keep-unit --private-network --resolv-conf=off --timezone=off \
        --console=pipe <&3 3>&- >>"$work/console" 2>&1 || code=$?
    echo "$code"
done
