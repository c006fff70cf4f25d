#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Run in the guest for test_vm.py: looks at its devices. Prints of each thing tried a line
# "== NAME STATUS", and below it what was said.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

try()
{
    local said status
    said=$("$1" 2>&1)
    status=$?
    printf '== %s %s\n%s\n' "$1" "$status" "$said"
}

# Waits until a command succeeds; a deadline is only for what fails.
await()
{
    local late=$((SECONDS + 120))
    until "$@"; do
        [ "$SECONDS" -lt "$late" ] || return
        sleep 0.1
    done
}

devices()
{
    ibv_devices
}

hugepages()
{
    echo "$(</proc/sys/vm/nr_hugepages) $(stat -f -c %T /dev/hugepages)"
}

listening()
{
    rdma resource show cm_id | grep -q LISTEN
}

pings()
{
    local status
    timeout 200 rping -s -a 10.77.0.2 -C 5 -V &
    await listening
    timeout 200 rping -c -a 10.77.0.2 -I 10.77.0.1 -C 5 -V
    status=$?
    wait
    return $status
}

carried()
{
    cat /sys/class/net/port1/statistics/tx_packets
}

crossed()
{
    echo $((after - before))
}

# How many of 200 datagrams from 10.77.0.1 arrive at each address.
datagrams()
{
    /usr/bin/python3 -I -S "$here/datagrams.py" 10.77.0.1 200 "$@"
}

loss()
{
    tc qdisc add dev port1 root netem loss 50%
    datagrams 10.77.0.2 10.77.0.3
    tc qdisc del dev port1 root
}

link()
{
    ip link set port2 down
    datagrams 10.77.0.3
    ip link set port2 up
    await grep -q up /sys/class/net/port2/operstate
    datagrams 10.77.0.3
}

try devices
try hugepages
before=$(carried)
try pings
after=$(carried)
try crossed
try loss
try link
