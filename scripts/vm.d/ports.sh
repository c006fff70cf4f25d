# SPDX-License-Identifier: BSD-3-Clause
# The guest's ways to scripts/vm.d/machine.py. Sourced by `guest` and `cable`.
# shellcheck shell=bash

# The device of the port with the name $1.
port()
{
    local name
    for name in /sys/class/virtio-ports/*/name; do
        if [ "$(<"$name")" = "$1" ]; then
            name=${name%/name}
            printf '/dev/%s' "${name##*/}"
            return
        fi
    done
}
