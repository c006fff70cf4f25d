/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * scale - how a ring of real ring objects does as it grows, on a model of its network.
 *
 *     scale [--nodes N,N,...] [--json] [--brief] [--mtu N] [--fan-out] [--hop NS]
 *           [--cost NAME=NS]... [--detect MS] [--seed N]
 *     scale --check        claims that hold on any machine; the exit status says
 *     scale --calibrate    what calls of the ring cost here, in nanoseconds
 *
 * Without --mtu and --fan-out each size runs with both MTUs, with multicast and with fan-out.
 */

#include <getopt.h>

#include "calibrate.h"
#include "claims.h"
#include "report.h"

enum { SIZES_MAX = 16, VARIANTS = 4 };

struct options {
    struct fabric_config config;
    int nodes[SIZES_MAX], sizes;
    bool json, brief, one_variant, check, calibrate;
};

enum {
    OPTION_NODES = 'n',
    OPTION_JSON = 'j',
    OPTION_BRIEF = 'b',
    OPTION_MTU = 'm',
    OPTION_FAN_OUT = 'f',
    OPTION_HOP = 'h',
    OPTION_COST = 'c',
    OPTION_DETECT = 'd',
    OPTION_SEED = 's',
    OPTION_CHECK = 'k',
    OPTION_CALIBRATE = 'a',
};

static const struct option long_options[] = {
    { "nodes", required_argument, NULL, OPTION_NODES },
    { "json", no_argument, NULL, OPTION_JSON },
    { "brief", no_argument, NULL, OPTION_BRIEF },
    { "mtu", required_argument, NULL, OPTION_MTU },
    { "fan-out", no_argument, NULL, OPTION_FAN_OUT },
    { "hop", required_argument, NULL, OPTION_HOP },
    { "cost", required_argument, NULL, OPTION_COST },
    { "detect", required_argument, NULL, OPTION_DETECT },
    { "seed", required_argument, NULL, OPTION_SEED },
    { "check", no_argument, NULL, OPTION_CHECK },
    { "calibrate", no_argument, NULL, OPTION_CALIBRATE },
    { NULL, 0, NULL, 0 },
};

static bool number(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    char *end = NULL;
    unsigned long long n = strtoull(text, &end, 10);
    *value = n;
    return end != text && *end == 0 && n >= least && n <= most;
}

static bool nodes_parse(struct options *o, const char *text)
{
    o->sizes = 0;
    while (o->sizes < SIZES_MAX) {
        char *end = NULL;
        long n = strtol(text, &end, 10);
        if (end == text || n < 2 || n > NODE_COUNT_MAX)
            return false;
        o->nodes[o->sizes++] = (int)n;
        if (*end == 0)
            return true;
        if (*end != ',')
            return false;
        text = end + 1;
    }
    return false;
}

static bool option(struct options *o, int which, const char *value)
{
    uint64_t n = 0;
    switch (which) {
    case OPTION_NODES:
        return nodes_parse(o, value);
    case OPTION_JSON:
        return o->json = true;
    case OPTION_BRIEF:
        return o->brief = true;
    case OPTION_MTU:
        o->one_variant = number(value, 1280, 65535, &n);
        o->config.mtu = (uint32_t)n;
        return o->one_variant;
    case OPTION_FAN_OUT:
        o->config.multicast = false;
        return o->one_variant = true;
    case OPTION_HOP:
        return number(value, 0, NS_PER_S, &o->config.hop_ns);
    case OPTION_COST:
        return costs_set(&o->config.costs, value);
    case OPTION_DETECT:
        o->config.detect_ns = number(value, 10, 60000, &n) ? n * NS_PER_MS : 0;
        return o->config.detect_ns > 0;
    case OPTION_SEED:
        return number(value, 0, UINT64_MAX, &o->config.seed);
    case OPTION_CHECK:
        return o->check = true;
    case OPTION_CALIBRATE:
        return o->calibrate = true;
    default:
        return false;
    }
}

static bool parse(struct options *o, int argc, char **argv)
{
    static const int usual[] = { 2, 4, 8, 16, 32, 64, 128 };
    *o = (struct options){ .config = fabric_default(2), .sizes = ARRAY_COUNT(usual) };
    for (int i = 0; i < o->sizes; i++)
        o->nodes[i] = usual[i];
    int which;
    while ((which = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (!option(o, which, optarg))
            return false;
    }
    return optind == argc;
}

/* The first variant, or all four: MTU and how frames reach many. */
static struct fabric_config variant(const struct options *o, int nodes, int which)
{
    struct fabric_config c = o->config;
    c.nodes = nodes;
    if (!o->one_variant) {
        c.mtu = which & 1 ? 9000 : 1500;
        c.multicast = which < 2;
    }
    return c;
}

static void run(const struct options *o)
{
    bool first = true;
    if (o->json)
        report_json_begin(&o->config, stdout);
    for (int i = 0; i < o->sizes; i++) {
        for (int v = 0; v < (o->one_variant ? 1 : VARIANTS); v++) {
            struct fabric_config c = variant(o, o->nodes[i], v);
            struct figures figures;
            figures_measure(&figures, &c, o->one_variant || c.mtu == 1500, o->brief);
            if (o->json)
                report_json(&figures, first, stdout);
            else
                report_text(&figures, stdout);
            fflush(stdout);
            first = false;
        }
    }
    if (o->json)
        report_json_end(stdout);
}

int main(int argc, char **argv)
{
    struct options o;
    if (!parse(&o, argc, argv)) {
        fprintf(stderr, "usage: scale [--nodes N,N,...] [--json] [--brief] [--mtu N] [--fan-out]\n"
                        "             [--hop NS] [--cost NAME=NS]... [--detect MS] [--seed N]\n"
                        "             [--check | --calibrate]\n");
        return 2;
    }
    if (o.calibrate) {
        calibrate(&o.config.costs);
        costs_print(&o.config.costs, stdout);
        return 0;
    }
    if (o.check)
        return claims_hold(&o.config) ? 0 : 1;
    run(&o);
    return 0;
}
