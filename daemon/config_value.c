/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_parser.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void *field(struct config_parser *p, const struct config_key *key)
{
    return (uint8_t *)p + key->offset;
}

static void refuse(struct config_parser *p, const struct config_key *key, const char *value,
                   const char *wanted)
{
    const char *hint = strchr(value, '#') ? "; a comment needs a line of its own" : "";
    config_error(p, p->line, p->column, "%s: '%.80s' is not %s%s", key->name, value, wanted, hint);
}

/* Digits, and for sizes one of K, M, G behind them. */
static int number_parse(const char *text, bool suffixes, uint64_t *out)
{
    static const char units[] = "KMG";
    uint64_t value = 0;
    const char *at = text;
    if (*at == 0)
        return -EINVAL;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return -ERANGE;
    if (at == text)
        return -EINVAL;
    const char *unit = *at && suffixes ? strchr(units, *at & ~0x20) : NULL;
    if (unit) {
        unsigned shift = 10 * (unsigned)(unit - units + 1);
        if (value > UINT64_MAX >> shift)
            return -ERANGE;
        value <<= shift;
        at++;
    }
    *out = value;
    return *at ? -EINVAL : 0;
}

static bool number(struct config_parser *p, const struct config_key *key, const char *value,
                   uint64_t *out)
{
    bool suffixes = key->kind == KEY_BYTES32 || key->kind == KEY_BYTES64;
    int failed = number_parse(value, suffixes, out);
    if (failed == -EINVAL)
        refuse(p, key, value, suffixes ? "a size: digits, and K, M or G" : "a number");
    else if (failed || *out < key->min || *out > key->max)
        config_error(p, p->line, p->column, "%s: %.80s is outside %" PRIu64 " to %" PRIu64,
                     key->name, value, key->min, key->max);
    else
        return true;
    return false;
}

static void store_number(struct config_parser *p, const struct config_key *key, const char *value)
{
    uint64_t n;
    if (!number(p, key, value, &n))
        return;
    switch (key->kind) {
    case KEY_U8:
        *(uint8_t *)field(p, key) = (uint8_t)n;
        break;
    case KEY_U16:
        *(uint16_t *)field(p, key) = (uint16_t)n;
        break;
    case KEY_BYTES64:
        *(uint64_t *)field(p, key) = n;
        break;
    default:
        *(uint32_t *)field(p, key) = (uint32_t)n;
        break;
    }
}

static void store_bool(struct config_parser *p, const struct config_key *key, const char *value)
{
    static const char *const words[] = { "no", "yes", "off", "on", "0", "1", "false", "true" };
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (strcmp(value, words[i]) == 0) {
            *(bool *)field(p, key) = i & 1;
            return;
        }
    }
    refuse(p, key, value, "yes or no");
}

static void store_choice(struct config_parser *p, const struct config_key *key, const char *value)
{
    char list[96] = "";
    for (int i = 0; key->choices[i]; i++) {
        if (strcmp(value, key->choices[i]) == 0) {
            *(int *)field(p, key) = i;
            return;
        }
        if (i > 0)
            strncat(list, key->choices[i + 1] ? ", " : " or ", sizeof(list) - strlen(list) - 1);
        strncat(list, key->choices[i], sizeof(list) - strlen(list) - 1);
    }
    refuse(p, key, value, list);
}

static void store_text(struct config_parser *p, const struct config_key *key, const char *value)
{
    size_t bytes = strlen(value);
    bool ipv6;
    if (bytes + 1 > key->max)
        config_error(p, p->line, p->column, "%s: over %" PRIu64 " bytes", key->name, key->max - 1);
    else if (bytes + 1 <= key->min)
        refuse(p, key, value, "a value");
    else if (key->kind == KEY_ADDRESS) {
        if (!config_address_numeric(value, field(p, key), &ipv6))
            refuse(p, key, value, "a numeric address");
    } else
        memcpy(field(p, key), value, bytes + 1);
}

/* One that is not there, and one that is kept from us. */
static void check_cpu(struct config_parser *p, const struct config_key *key, int cpu)
{
    const struct config_host *host = p->host;
    if (!config_cpus_have(host->cpus_online, cpu))
        config_error(p, p->line, p->column, "%s: this machine has no processor %d, but %.60s",
                     key->name, cpu, host->cpus_online);
    else if (!config_cpus_have(host->cpus, cpu))
        config_error(p, p->line, p->column,
                     "%s: this process may not run on processor %d, but on %.60s: take one of "
                     "these, or change what keeps it (taskset, AllowedCPUs of the service)",
                     key->name, cpu, host->cpus);
}

static void store_cpu(struct config_parser *p, const struct config_key *key, const char *value)
{
    uint64_t n;
    if (strcmp(value, "none") == 0)
        *(int *)field(p, key) = -1;
    else if (number(p, key, value, &n)) {
        *(int *)field(p, key) = (int)n;
        check_cpu(p, key, (int)n);
    }
}

static void store_user(struct config_parser *p, const struct config_key *key, const char *value)
{
    struct config *c = &p->said;
    uint64_t n;
    bool is_number = number_parse(value, false, &n) == 0 && n < UINT32_MAX;
    uid_t uid = (uid_t)n;
    if (c->uid_count == CONFIG_IDS_MAX)
        config_error(p, p->line, p->column, "uid: over %d of them", CONFIG_IDS_MAX);
    else if (!is_number && p->host->user(p->host->context, value, &uid) != 0)
        refuse(p, key, value, "a user of this machine, nor a number");
    else
        c->uids[c->uid_count++] = uid;
}

static void store_group(struct config_parser *p, const struct config_key *key, const char *value)
{
    struct config *c = &p->said;
    uint64_t n;
    bool is_number = number_parse(value, false, &n) == 0 && n < UINT32_MAX;
    gid_t gid = (gid_t)n;
    if (c->gid_count == CONFIG_IDS_MAX)
        config_error(p, p->line, p->column, "gid: over %d of them", CONFIG_IDS_MAX);
    else if (!is_number && p->host->group(p->host->context, value, &gid) != 0)
        refuse(p, key, value, "a group of this machine, nor a number");
    else
        c->gids[c->gid_count++] = gid;
}

/* Nobody shall believe that traffic is protected because the file says so. */
static void store_none(struct config_parser *p, const struct config_key *key, const char *value)
{
    if (strcmp(value, "none") != 0 && strcmp(value, "off") != 0 && strcmp(value, "no") != 0)
        config_error(
            p, p->line, p->column,
            "%s: '%.40s': encryption and authentication are not available in this release; "
            "only '%s' is accepted",
            key->name, value, strcmp(key->name, "secauth") == 0 ? "off" : "none");
}

void config_value(struct config_parser *p, const struct config_key *key, struct config_span value)
{
    char text[CONFIG_HOST_BYTES + CONFIG_PATH_BYTES];
    if (value.bytes >= sizeof(text)) {
        config_error(p, p->line, p->column, "%s: a value of %zu bytes is too long", key->name,
                     value.bytes);
        return;
    }
    memcpy(text, value.at, value.bytes);
    text[value.bytes] = 0;
    switch (key->kind) {
    case KEY_IGNORED:
        break;
    case KEY_U8:
    case KEY_U16:
    case KEY_U32:
    case KEY_BYTES32:
    case KEY_BYTES64:
        store_number(p, key, text);
        break;
    case KEY_BOOL:
        store_bool(p, key, text);
        break;
    case KEY_TEXT:
    case KEY_ADDRESS:
        store_text(p, key, text);
        break;
    case KEY_CHOICE:
        store_choice(p, key, text);
        break;
    case KEY_CPU:
        store_cpu(p, key, text);
        break;
    case KEY_USER:
        store_user(p, key, text);
        break;
    case KEY_GROUP:
        store_group(p, key, text);
        break;
    case KEY_NONE:
        store_none(p, key, text);
        break;
    }
}
