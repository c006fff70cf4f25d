/* SPDX-License-Identifier: BSD-3-Clause */
#include "faults.h"

#include "sim/net.h"

const char *const fault_name[FAULT_KINDS] = {
    [FAULT_LOSS] = "loss",       [FAULT_DUPLICATE] = "duplication", [FAULT_REORDER] = "reordering",
    [FAULT_DELAY] = "delay",     [FAULT_CORRUPT] = "corruption",    [FAULT_TRUNCATE] = "truncation",
    [FAULT_CUT] = "cut",         [FAULT_FLAP] = "flapping",         [FAULT_SHORT] = "short sends",
    [FAULT_NEWS] = "false news",
};

void faults_init(struct faults *f, struct sim_net *net, int nodes, const struct sim_faults *base,
                 bool lies)
{
    *f = (struct faults){ .net = net, .base = *base, .nodes = nodes, .lies = lies };
}

static bool is_cut(const struct fault *fault, uint64_t age_ns)
{
    return fault->kind == FAULT_CUT || (fault->kind == FAULT_FLAP && age_ns / fault->ns % 2 == 0);
}

static void add(const struct faults *f, const struct fault *fault, struct sim_faults *to)
{
    switch (fault->kind) {
    case FAULT_LOSS:
        to->loss_ppm += fault->ppm;
        break;
    case FAULT_DUPLICATE:
        to->duplicate_ppm += fault->ppm;
        break;
    case FAULT_REORDER:
        to->reorder_ppm += fault->ppm;
        to->reorder_ns = max_u64(to->reorder_ns, fault->ns);
        break;
    case FAULT_DELAY:
        to->delay_ns_least += fault->ns / 2;
        to->delay_ns_most += fault->ns;
        break;
    case FAULT_CORRUPT:
        if (f->lies)
            to->corrupt_ppm += fault->ppm;
        else
            to->loss_ppm += fault->ppm;
        break;
    case FAULT_TRUNCATE:
        to->truncate_ppm += fault->ppm;
        break;
    default:
        break;
    }
}

static bool touches(const struct fault *fault, uint32_t from, uint32_t to)
{
    bool there = fault->from >> from & 1 && fault->to >> to & 1;
    return there || (fault->both && fault->from >> to & 1 && fault->to >> from & 1);
}

static void set_link(struct faults *f, uint32_t from, uint32_t to, uint64_t now_ns)
{
    struct sim_faults sum = f->base;
    bool cut = false, told = false;
    for (uint32_t i = 0; i < f->count; i++) {
        const struct fault *fault = &f->active[i].fault;
        if (!touches(fault, from, to))
            continue;
        add(f, fault, &sum);
        bool now = is_cut(fault, now_ns - f->active[i].since_ns);
        cut = cut || now;
        told = told || fault->kind == FAULT_NEWS || (fault->told && now);
    }
    sim_net_link(f->net, from, to, &sum);
    sim_net_cut(f->net, from, to, cut);
    sim_net_tell(f->net, from, to, told);
}

static void apply(struct faults *f, uint64_t now_ns)
{
    f->net->config.tx_short_ppm = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        if (f->active[i].fault.kind == FAULT_SHORT)
            f->net->config.tx_short_ppm = f->active[i].fault.ppm;
    }
    for (uint32_t from = 1; from <= (uint32_t)f->nodes; from++) {
        for (uint32_t to = 1; to <= (uint32_t)f->nodes; to++) {
            if (from != to)
                set_link(f, from, to, now_ns);
        }
    }
}

void faults_begin(struct faults *f, const struct fault *fault, uint64_t now_ns, uint64_t until_ns)
{
    if (f->count == FAULTS_MAX)
        return;
    f->active[f->count].fault = *fault;
    f->active[f->count].since_ns = now_ns;
    f->active[f->count++].until_ns = until_ns;
    apply(f, now_ns);
}

void faults_update(struct faults *f, uint64_t now_ns)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        if (f->active[i].until_ns > now_ns)
            f->active[kept++] = f->active[i];
    }
    f->count = kept;
    apply(f, now_ns);
}

uint64_t faults_next_ns(const struct faults *f, uint64_t now_ns)
{
    uint64_t next_ns = NS_NEVER;
    for (uint32_t i = 0; i < f->count; i++) {
        const struct fault *fault = &f->active[i].fault;
        next_ns = min_u64(next_ns, f->active[i].until_ns);
        if (fault->kind == FAULT_FLAP) {
            uint64_t since_ns = f->active[i].since_ns;
            next_ns =
                min_u64(next_ns, since_ns + ((now_ns - since_ns) / fault->ns + 1) * fault->ns);
        }
    }
    return next_ns;
}

void faults_heal(struct faults *f)
{
    f->count = 0;
    apply(f, 0);
}
