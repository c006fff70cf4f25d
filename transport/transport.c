/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport.h"
#include "why.h"

#include <stdarg.h>
#include <string.h>

/* Backends that need libraries of others are there when the program is linked with them. */
extern const struct transport_ops transport_dpdk __attribute__((weak));

static const struct transport_ops *const backends[] = { &transport_udp, &transport_dpdk };

const struct transport_ops *transport_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(backends); i++) {
        if (backends[i] && strcmp(backends[i]->name, name) == 0)
            return backends[i];
    }
    return NULL;
}

int transport_no_check(const struct transport_config *config, char *why, size_t why_bytes)
{
    (void)config;
    (void)why;
    (void)why_bytes;
    return 0;
}

int transport_no_node(const struct transport_config *config)
{
    (void)config;
    return -1;
}

int transport_no_counters(const struct transport *tp, struct transport_counter *list)
{
    (void)tp;
    (void)list;
    return 0;
}

enum transport_rest transport_sleep(struct transport *tp)
{
    (void)tp;
    return TRANSPORT_SLEEP;
}

enum transport_rest transport_nap(struct transport *tp)
{
    (void)tp;
    return TRANSPORT_NAP;
}

void transport_no_disarm(struct transport *tp)
{
    (void)tp;
}

void transport_rx_shape(const struct transport_config *config, struct zcb_pool_shape *shape)
{
    shape->headroom_bytes = 0;
    shape->slot_bytes = (uint32_t)align_up(config->frame_bytes_max, CACHE_LINE_BYTES);
}

int transport_no_memory_add(struct transport *tp, struct zcb_arena *arena, char *why,
                            size_t why_bytes)
{
    (void)tp;
    (void)why;
    (void)why_bytes;
    arena->key = 0;
    return 0;
}

void transport_no_memory_drop(struct transport *tp, struct zcb_arena *arena)
{
    (void)tp;
    (void)arena;
}

int transport_why(char *why, size_t why_bytes, int error, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    vsnprintf(why, why_bytes, format, values);
    va_end(values);
    return error;
}
