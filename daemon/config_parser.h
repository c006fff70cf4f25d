/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_CONFIG_PARSER_H
#define DAEMON_CONFIG_PARSER_H

/*
 * config_parser.h - between the units that make a struct config out of a text.
 *
 *   config_lex.c     lines
 *   config.c         sections; runs the others
 *   config_keys.c    which keys there are, and the nearest to one that is not
 *   config_value.c   one value into one field
 *   config_check.c   defaults that depend on others, and what must hold between keys
 *   config_route.c   of these, which nodes are behind a gateway
 *
 * Knows:      what the file said, before anything is concluded from it.
 */

#include "config.h"
#include "config_host.h"
#include "config_lex.h"

enum config_section {
    SECTION_TOP,
    SECTION_TOTEM,
    SECTION_INTERFACE,
    SECTION_NODELIST,
    SECTION_NODE,
    SECTION_LOGGING,
    SECTION_TRANSPORT,
    SECTION_DPDK,
    SECTION_POLL,
    SECTION_ZCB,
    SECTION_CLIENTS,
    SECTION_UIDGID,
    SECTION_SYSTEM,
    SECTION_IGNORED, /* Corosync's, without meaning here: its content is not looked at */
    SECTION_UNKNOWN, /* reported; its content is not looked at */
    SECTIONS,
};

enum config_kind {
    KEY_IGNORED, /* Corosync's, without meaning here */
    KEY_U8,
    KEY_U16,
    KEY_U32,
    KEY_BYTES32, /* with K, M, G */
    KEY_BYTES64,
    KEY_BOOL,
    KEY_TEXT,    /* max: bytes of the field, its NUL included */
    KEY_ADDRESS, /* numeric; max as KEY_TEXT */
    KEY_CHOICE,  /* choices; stores the index as an int */
    KEY_CPU,     /* a number or `none` */
    KEY_USER,    /* repeatable */
    KEY_GROUP,   /* repeatable */
    KEY_NONE,    /* must be `none` or `off`: promises what we cannot keep */
};

struct config_key {
    enum config_section section;
    const char *name;
    enum config_kind kind;
    size_t offset; /* in struct config_parser */
    uint64_t min, max;
    const char *const *choices; /* ends with NULL */
};

enum { CONFIG_KEYS_MAX = 192, CONFIG_HOST_BYTES = 256, CONFIG_DEPTH_MAX = 8 };

struct config_node { /* a node { } section as it was written */
    char address[CONFIG_HOST_BYTES];
    uint32_t node_id; /* 0: not said */
    uint16_t port;    /* 0: not said */
    char mac[TRANSPORT_MAC_BYTES];
    int line;
};

struct config_interface { /* an interface { } section as it was written */
    char multicast[TRANSPORT_ADDRESS_BYTES];
    uint16_t port; /* 0: not said */
    uint8_t ttl;   /* 0: not said */
    uint32_t number;
    int line;
};

struct config_parser {
    struct config *config;
    struct config_report *report;
    const struct config_host *host;

    struct config said;      /* fields that keys write straight */
    struct config_node node; /* the section being read */
    char node_name[CONFIG_HOST_BYTES];
    struct config_node nodes[NODE_COUNT_MAX];
    int node_count, nodes_seen;

    int version;
    uint32_t token_ms;
    int totem_transport;               /* index in config_totem_transports, -1 not said */
    int transport;                     /* index of the backends, -1 not said */
    struct config_interface interface; /* the section being read */
    struct config_interface link;      /* that of the first link */
    bool log_to_file;
    int debug;

    struct {
        int line, column; /* where it was said last; 0: not said */
    } seen[CONFIG_KEYS_MAX];
    int line, column; /* of the value being read */

    struct {
        enum config_section section;
        int line;
    } open[CONFIG_DEPTH_MAX];
    int depth;
};

extern const struct config_key config_keys[];
extern const int config_key_count;
extern const char *const config_totem_transports[];

enum { TOTEM_UDP, TOTEM_UDPU, TOTEM_KNET };
enum { BACKEND_UDP, BACKEND_DPDK }; /* as in transport.name's choices */

__attribute__((format(printf, 4, 5))) void config_error(struct config_parser *p, int line,
                                                        int column, const char *format, ...);
__attribute__((format(printf, 4, 5))) void config_warning(struct config_parser *p, int line,
                                                          int column, const char *format, ...);

/* The section `name` inside `parent`; SECTION_UNKNOWN when there is none. */
enum config_section config_section_find(enum config_section parent, struct config_span name);
/* What the file calls a section; NULL for those whose content is not looked at. */
const char *config_section_name(enum config_section section);
const char *config_section_nearest(enum config_section parent, struct config_span name);

/* Index in config_keys, or -1. */
int config_key_find(enum config_section section, struct config_span name);
/* The known key that is most likely meant: of this section, or of another when it stands there
 * under this very name. */
const struct config_key *config_key_nearest(enum config_section section, struct config_span name);

/* Store a value in its field, or report why not. */
void config_value(struct config_parser *p, const struct config_key *key, struct config_span value);

/* Is the key said anywhere? By the name it is found under. */
int config_said(const struct config_parser *p, enum config_section section, const char *name);

/* Conclude: p->said and the rest become *p->config. Reports what is wrong. */
void config_check(struct config_parser *p);

/* Nodes have addresses, and we know which we are. Says of each whether it is routed. */
void config_check_route(struct config_parser *p);

/* config_parse() on some machine. */
int config_parse_on(struct config *config, const char *text, size_t bytes,
                    struct config_report *report, const struct config_host *host);

#endif
