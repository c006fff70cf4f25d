/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DAEMON_CONFIG_LEX_H
#define DAEMON_CONFIG_LEX_H

/*
 * config_lex.h - the lines of a configuration file.
 *
 * Knows:      `name {`, `}`, `key: value`, comment lines, where on a line each part stands.
 * Knows not:  which sections and keys there are.
 * Invariants: L1  every span lies inside the text given to config_lex_start()
 *             L2  lines come in order, each once; blank lines and comments do not come at all
 */

#include <stdbool.h>
#include <stddef.h>

struct config_span { /* not NUL-terminated */
    const char *at;
    size_t bytes;
    int column; /* 1-based */
};

enum config_line_kind {
    CONFIG_LINE_OPEN,  /* name */
    CONFIG_LINE_CLOSE, /* */
    CONFIG_LINE_PAIR,  /* name, value; the value may be empty */
    CONFIG_LINE_BAD,   /* why; name.column says where */
};

struct config_line {
    enum config_line_kind kind;
    int line;
    struct config_span name, value;
    const char *why;
};

struct config_lexer {
    const char *at, *end;
    int line;
};

void config_lex_start(struct config_lexer *lexer, const char *text, size_t bytes);

/* The next line that says something; false at the end. */
bool config_lex(struct config_lexer *lexer, struct config_line *out);

#endif
