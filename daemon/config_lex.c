/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_lex.h"

#include <string.h>

void config_lex_start(struct config_lexer *lexer, const char *text, size_t bytes)
{
    static const char mark[] = "\xef\xbb\xbf"; /* some editors begin a file so */
    *lexer = (struct config_lexer){ .at = text, .end = text + bytes, .line = 0 };
    if (bytes >= sizeof(mark) - 1 && memcmp(text, mark, sizeof(mark) - 1) == 0)
        lexer->at += sizeof(mark) - 1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct config_span trimmed(const char *line, const char *from, const char *to)
{
    while (from < to && is_blank(*from))
        from++;
    while (to > from && is_blank(to[-1]))
        to--;
    return (struct config_span){ from, (size_t)(to - from), (int)(from - line) + 1 };
}

static void bad(struct config_line *out, int column, const char *why)
{
    out->kind = CONFIG_LINE_BAD;
    out->name.column = column;
    out->why = why;
}

/* The first byte that no configuration needs, 0 when there is none. */
static int unprintable_column(const struct config_span *all)
{
    for (size_t i = 0; i < all->bytes; i++) {
        unsigned char c = (unsigned char)all->at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return all->column + (int)i;
    }
    return 0;
}

static void split_open(struct config_line *out, const char *line, struct config_span all,
                       const char *brace)
{
    struct config_span rest = trimmed(line, brace + 1, all.at + all.bytes);
    out->name = trimmed(line, all.at, brace);
    out->kind = CONFIG_LINE_OPEN;
    if (out->name.bytes == 0)
        bad(out, all.column, "a section needs a name in front of '{'");
    else if (rest.bytes > 0)
        bad(out, rest.column, "nothing may follow '{' on its line");
}

static void split(struct config_line *out, const char *line, struct config_span all)
{
    const char *end = all.at + all.bytes;
    const char *colon = memchr(all.at, ':', all.bytes);
    const char *brace = memchr(all.at, '{', all.bytes);
    int column = unprintable_column(&all);
    if (column > 0) {
        bad(out, column, "a control character");
    } else if (all.at[0] == '}') {
        out->kind = CONFIG_LINE_CLOSE;
        out->name = all;
        if (all.bytes > 1)
            bad(out, all.column + 1, "nothing may follow '}' on its line");
    } else if (brace && (!colon || brace < colon)) {
        split_open(out, line, all, brace);
    } else if (colon) {
        out->kind = CONFIG_LINE_PAIR;
        out->name = trimmed(line, all.at, colon);
        out->value = trimmed(line, colon + 1, end);
        if (out->name.bytes == 0)
            bad(out, all.column, "a key is missing in front of ':'");
    } else {
        bad(out, all.column, "expected 'key: value', 'section {' or '}'");
    }
}

bool config_lex(struct config_lexer *lexer, struct config_line *out)
{
    while (lexer->at < lexer->end) {
        const char *line = lexer->at;
        const char *newline = memchr(line, '\n', (size_t)(lexer->end - line));
        const char *end = newline ? newline : lexer->end;
        struct config_span all = trimmed(line, line, end);
        lexer->at = newline ? newline + 1 : lexer->end;
        lexer->line++;
        if (all.bytes == 0 || all.at[0] == '#')
            continue;
        *out = (struct config_line){ .line = lexer->line };
        split(out, line, all);
        return true;
    }
    return false;
}
