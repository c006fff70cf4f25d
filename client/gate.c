/* SPDX-License-Identifier: BSD-3-Clause */
#include "gate.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SHUT UINT32_C(0x80000000)

void gate_init(struct gate *gate, int fd)
{
    gate->fd = fd;
    atomic_init(&gate->state, 0);
}

bool gate_enter(struct gate *gate)
{
    uint32_t state = atomic_load_explicit(&gate->state, memory_order_relaxed);
    do {
        if (state & SHUT)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&gate->state, &state, state + 1,
                                                    memory_order_acquire, memory_order_relaxed));
    return true;
}

void gate_leave(struct gate *gate)
{
    if (atomic_fetch_sub_explicit(&gate->state, 1, memory_order_acq_rel) == (SHUT | 1))
        syscall(SYS_close, gate->fd); /* close() is a cancellation point, this is not */
}

void gate_shut(struct gate *gate)
{
    uint32_t before = atomic_load_explicit(&gate->state, memory_order_relaxed);
    do {
        if (before & SHUT)
            return;
    } while (!atomic_compare_exchange_weak_explicit(&gate->state, &before, (before | SHUT) + 1,
                                                    memory_order_acq_rel, memory_order_relaxed));
    shutdown(gate->fd, SHUT_RDWR);
    gate_leave(gate);
}
