/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <glob.h>
#include <stdlib.h>
#include <unistd.h>

#include "dpdk/eal.h"

static size_t folders_of_eal(void)
{
    glob_t found = { 0 };
    char pattern[64];
    snprintf(pattern, sizeof(pattern), "/tmp/synchrotron-eal-%d-*", (int)getpid());
    size_t count = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return count;
}

/* Where systemd, or somebody else, says that a service may leave files. */
Test(eal, L2_no_folder_is_left_behind)
{
    char folder[] = "/tmp/eal-test-XXXXXX", why[512] = "";
    struct transport_dpdk words = { .port = "memif", .memory_bytes = 32 << 20 };
    cr_assert_not_null(mkdtemp(folder));
    setenv("RUNTIME_DIRECTORY", folder, 1);
    cr_assert_eq(dpdk_eal_start(&words, why, sizeof(why)), 0, "%s", why);
    cr_expect_str_eq(getenv("RUNTIME_DIRECTORY"), folder);
    cr_expect_eq(rmdir(folder), 0, "it is not empty");
    cr_expect_eq(folders_of_eal(), 0);
}
