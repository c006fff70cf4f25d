/* SPDX-License-Identifier: BSD-3-Clause */
#include "planted.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PLANTED_MAX = 128, PATH_BYTES = 1024, LINE_BYTES = 512 };

struct planted {
    char name[128];
    pid_t pid;
    FILE *said;
    int status;
    uint32_t seeds; /* it took so many; 0: it was not caught */
    char rule[64];  /* by which it was */
};

struct field {
    char folder[PATH_BYTES];
    struct planted bug[PLANTED_MAX];
    int count, begun, ended;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct planted *)a)->name, ((const struct planted *)b)->name);
}

static bool is_copy(const struct field *f, const char *name)
{
    char path[2 * PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s", f->folder, name);
    return !strchr(name, '.') && access(path, X_OK) == 0;
}

/* The copies lie in a folder beside us. */
static bool find_all(struct field *f)
{
    char self[PATH_BYTES - sizeof("/planted")];
    ssize_t bytes = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (bytes < 0)
        return false;
    self[bytes] = 0;
    *strrchr(self, '/') = 0;
    snprintf(f->folder, sizeof(f->folder), "%s/planted", self);
    DIR *folder = opendir(f->folder);
    if (!folder)
        return false;
    for (struct dirent *entry; (entry = readdir(folder)) && f->count < PLANTED_MAX;) {
        if (is_copy(f, entry->d_name))
            snprintf(f->bug[f->count++].name, sizeof(f->bug[0].name), "%.120s", entry->d_name);
    }
    closedir(folder);
    qsort(f->bug, (size_t)f->count, sizeof(f->bug[0]), by_name);
    return f->count > 0;
}

static bool begin(struct field *f, struct planted *bug, uint64_t seeds)
{
    char path[2 * PATH_BYTES], most[24];
    snprintf(path, sizeof(path), "%s/%s", f->folder, bug->name);
    snprintf(most, sizeof(most), "%" PRIu64, seeds);
    bug->said = tmpfile();
    if (!bug->said)
        return false;
    fflush(stdout);
    bug->pid = fork();
    if (bug->pid == 0) {
        dup2(fileno(bug->said), STDOUT_FILENO);
        dup2(fileno(bug->said), STDERR_FILENO);
        execl(path, path, "--until-caught", most, "--jobs", "1", (char *)NULL);
        _exit(127);
    }
    f->begun++;
    return bug->pid > 0;
}

/* A copy ends by saying how many seeds it took, and which rule was broken. */
static void read_last_line(struct planted *bug)
{
    char line[LINE_BYTES];
    rewind(bug->said);
    while (fgets(line, sizeof(line), bug->said)) {
        uint32_t seeds;
        char rule[sizeof(bug->rule)];
        if (sscanf(line, "caught by %63[^,], %" SCNu32 " seeds", rule, &seeds) != 2)
            continue;
        bug->seeds = seeds;
        snprintf(bug->rule, sizeof(bug->rule), "%s", rule);
    }
    fclose(bug->said);
}

static bool caught(const struct planted *bug)
{
    return bug->status == 0 && bug->seeds > 0;
}

static void tell_one(const struct planted *bug, uint64_t seeds)
{
    if (caught(bug))
        printf("%-8s %-48s %5u seed%s by %s\n", "caught", bug->name, bug->seeds,
               bug->seeds == 1 ? ", " : "s,", bug->rule);
    else if (bug->status == 1)
        printf("%-8s %-48s %5" PRIu64 " seeds, and none failed\n", "MISSED", bug->name, seeds);
    else
        printf("%-8s %-48s cannot be run: status %d\n", "MISSED", bug->name, bug->status);
    fflush(stdout);
}

static bool wait_one(struct field *f, uint64_t seeds, bool json)
{
    int status = 0;
    pid_t pid = waitpid(-1, &status, 0);
    for (int i = 0; i < f->begun; i++) {
        struct planted *bug = &f->bug[i];
        if (bug->pid != pid)
            continue;
        bug->pid = 0;
        bug->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
        read_last_line(bug);
        f->ended++;
        if (!json)
            tell_one(bug, seeds);
        return true;
    }
    return false;
}

static int tell(const struct field *f, bool json)
{
    int missed = 0;
    uint32_t most = 0;
    for (int i = 0; i < f->count; i++) {
        missed += !caught(&f->bug[i]);
        most = f->bug[i].seeds > most ? f->bug[i].seeds : most;
    }
    if (!json) {
        printf("%d of %d planted bugs caught, each within %u seeds\n", f->count - missed, f->count,
               most);
        return missed > 0;
    }
    printf("{\"planted\": %d, \"caught\": %d, \"bugs\": {", f->count, f->count - missed);
    for (int i = 0; i < f->count; i++)
        printf("%s\"%s\": {\"caught\": %s, \"seeds\": %u, \"rule\": \"%s\"}", i > 0 ? ", " : "",
               f->bug[i].name, caught(&f->bug[i]) ? "true" : "false", f->bug[i].seeds,
               f->bug[i].rule);
    printf("}}\n");
    return missed > 0;
}

int planted_run(uint64_t seeds, int jobs, bool json)
{
    static struct field f;
    if (!find_all(&f)) {
        fprintf(stderr, "no planted bugs beside this program: build them with `ninja -C build "
                        "planted`\n");
        return 2;
    }
    while (f.ended < f.count) {
        if (f.begun < f.count && f.begun - f.ended < jobs) {
            if (!begin(&f, &f.bug[f.begun], seeds)) {
                perror("planted");
                return 2;
            }
            continue;
        }
        if (!wait_one(&f, seeds, json))
            return 2;
    }
    return tell(&f, json);
}
