/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "check.h"
#include "rte.h"
#include "sysfs.h"
#include "why.h"

#include <errno.h>
#include <numa.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORDS_MAX = 64, WORD_BYTES = 256, HUGE_PAGE_MB = 2 };

/* EAL is a process-wide thing, and so is what we know of it. */
static struct {
    bool started;
    pthread_mutex_t said_lock; /* EAL's interrupt thread complains as well */
    char said[DPDK_SAID_BYTES];
    char text[WORDS_MAX * WORD_BYTES];
    char *word[WORDS_MAX];
    int count;
} eal = { .said_lock = PTHREAD_MUTEX_INITIALIZER };

void dpdk_eal_said(char said[DPDK_SAID_BYTES])
{
    pthread_mutex_lock(&eal.said_lock);
    memcpy(said, eal.said, DPDK_SAID_BYTES);
    pthread_mutex_unlock(&eal.said_lock);
}

static void keep(const char *text, size_t bytes)
{
    pthread_mutex_lock(&eal.said_lock);
    memcpy(eal.said, text, bytes);
    eal.said[bytes] = 0;
    pthread_mutex_unlock(&eal.said_lock);
}

void dpdk_eal_forget(void)
{
    keep("", 0);
}

/* Keep the last line. */
static ssize_t log_write(void *cookie, const char *text, size_t bytes)
{
    size_t kept = bytes < DPDK_SAID_BYTES - 1 ? bytes : DPDK_SAID_BYTES - 1;
    (void)cookie;
    while (kept > 0 && (text[kept - 1] == '\n' || text[kept - 1] == ' '))
        kept--;
    if (kept > 0)
        keep(text, kept);
    return (ssize_t)bytes;
}

/* L3 */
static void catch_log(void)
{
    FILE *log = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = log_write });
    if (!log)
        return;
    setvbuf(log, NULL, _IOLBF, 0);
    (void)rte_openlog_stream(log);
    rte_log_set_global_level(RTE_LOG_WARNING);
}

__attribute__((format(printf, 1, 2))) static bool add_word(const char *format, ...)
{
    char *word = eal.text + (size_t)eal.count * WORD_BYTES;
    va_list values;
    if (eal.count == WORDS_MAX - 1)
        return false;
    va_start(values, format);
    int bytes = vsnprintf(word, WORD_BYTES, format, values);
    va_end(values);
    eal.word[eal.count++] = word;
    return bytes < WORD_BYTES;
}

static bool add_words(const char *text)
{
    bool fits = true;
    for (const char *at = text; *at;) {
        size_t bytes = strcspn(at, " \t");
        if (bytes > 0)
            fits = add_word("%.*s", (int)bytes, at) && fits;
        at += bytes;
        at += strspn(at, " \t");
    }
    return fits;
}

static uint32_t free_huge_pages(void)
{
    uint32_t pages = 0;
    FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%u", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages;
}

/* EAL takes its memory from the node of the processor it is told: one of the node that this process
 * prefers, if it may run there. */
static int choose_cpu(const cpu_set_t *set)
{
    int node = numa_available() < 0 ? -1 : numa_preferred(), first = -1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET((size_t)cpu, set))
            continue;
        if (node < 0 || numa_node_of_cpu(cpu) == node)
            return cpu;
        first = first < 0 ? cpu : first;
    }
    return first < 0 ? 0 : first;
}

/* A card and its IOMMU decide how addresses are told. */
static bool make_port_words(const char *port)
{
    if (!dpdk_is_pci(port))
        return add_words("--no-pci --iova-mode=va");
    return add_word("-a") && add_word("%s", port) &&
           (!dpdk_sysfs_wants_msi(port) || add_word("--vfio-intr=msi"));
}

/* L2 */
static bool make_words(const struct transport_dpdk *config, const cpu_set_t *affinity)
{
    uint32_t memory_mb = (uint32_t)(config->memory_bytes >> 20);
    bool huge = config->hugepages && free_huge_pages() * HUGE_PAGE_MB >= memory_mb;
    eal.count = 0;
    bool fits = add_word("synchrotron") && add_word("--no-telemetry") && add_word("-l") &&
                add_word("%d", choose_cpu(affinity)) && add_word("-m") && add_word("%u", memory_mb);
    fits = fits && (huge ? add_word("--in-memory") : add_words("--no-huge --no-shconf"));
    return fits && make_port_words(config->port) && add_words(config->eal);
}

static int start_failed(char *why, size_t why_bytes)
{
    int error = rte_errno ? -rte_errno : -EINVAL;
    char said[DPDK_SAID_BYTES];
    dpdk_eal_said(said);
    return transport_why(why, why_bytes, error,
                         "dpdk: EAL does not start: %s (%s): it takes dpdk.memory, dpdk.eal and "
                         "the port; to see more: dpdk { eal: --log-level=debug }",
                         said[0] ? said : "no reason given", strerror(-error));
}

/*
 * EAL keeps the array of words, and moves them about. It makes a folder for files of processes that
 * share its memory, and leaves it behind. Nobody shares ours: it gets one that goes again, unless
 * dpdk.eal names one (L2).
 */
static int init(const char *said)
{
    char folder[64], made[2][sizeof(folder) + sizeof("/dpdk/rte")];
    snprintf(folder, sizeof(folder), "/tmp/synchrotron-eal-%d-XXXXXX", (int)getpid());
    if (strstr(said, "--file-prefix") || !mkdtemp(folder))
        return rte_eal_init(eal.count, eal.word);
    const char *before = getenv("RUNTIME_DIRECTORY");
    char *kept = before ? strdup(before) : NULL;
    setenv("RUNTIME_DIRECTORY", folder, 1);
    int used = rte_eal_init(eal.count, eal.word);
    if (kept)
        setenv("RUNTIME_DIRECTORY", kept, 1);
    else
        unsetenv("RUNTIME_DIRECTORY");
    free(kept);
    snprintf(made[0], sizeof(made[0]), "%s/dpdk/rte", folder);
    snprintf(made[1], sizeof(made[1]), "%s/dpdk", folder);
    (void)(rmdir(made[0]) + rmdir(made[1]) + rmdir(folder));
    return used;
}

int dpdk_eal_start(const struct transport_dpdk *config, char *why, size_t why_bytes)
{
    cpu_set_t affinity;
    if (eal.started)
        return 0;
    (void)pthread_getaffinity_np(pthread_self(), sizeof(affinity), &affinity);
    if (!make_words(config, &affinity))
        return transport_why(why, why_bytes, -E2BIG, "dpdk: dpdk.eal is too long: %.60s...",
                             config->eal);
    catch_log();
    int used = init(config->eal);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(affinity), &affinity); /* L1 */
    if (used < 0)
        return start_failed(why, why_bytes);
    eal.started = true;
    return 0;
}
