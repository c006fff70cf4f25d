/* SPDX-License-Identifier: BSD-3-Clause */
#include "costs.h"

#include <stdlib.h>
#include <string.h>

#define ONE(name, value, meaning) \
    fprintf(file, "  %-14s %7.1f ns  %s\n", #name, costs->name, meaning);

void costs_print(const struct costs *costs, FILE *file)
{
    fprintf(file, "measured on the code\n");
    COSTS_MEASURED(ONE)
    fprintf(file, "assumed\n");
    COSTS_ASSUMED(ONE)
}

bool costs_set(struct costs *costs, const char *text)
{
    const struct {
        const char *name;
        double *value;
    } all[] = {
#define NAMED(name, value, meaning) { #name, &costs->name },
        COSTS_MEASURED(NAMED) COSTS_ASSUMED(NAMED)
    };
    const char *equals = strchr(text, '=');
    char *end = NULL;
    if (!equals)
        return false;
    size_t bytes = (size_t)(equals - text);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strlen(all[i].name) != bytes || memcmp(all[i].name, text, bytes) != 0)
            continue;
        double value = strtod(equals + 1, &end);
        if (end == equals + 1 || *end || value < 0)
            return false;
        *all[i].value = value;
        return true;
    }
    return false;
}
