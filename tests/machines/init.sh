#!/bin/busybox sh
# The first process under another kernel: sets up what there is on every machine, runs /test and
# turns the machine off. Read from the console: the last line says how the test ended.
export PATH=/bin HOME=/root
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t cgroup2 cgroup /sys/fs/cgroup
ip link set lo up
echo "a machine with Linux $(uname -r)"
/test </dev/null
echo "the test ended with $?"
poweroff -f
