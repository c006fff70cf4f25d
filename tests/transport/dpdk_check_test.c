/* SPDX-License-Identifier: BSD-3-Clause */
/* dpdk_check_test.c - what is said of a port before anything is opened. */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dpdk/check.h"

static char why[256];

static int check(const char *port, const char *memif_dir)
{
    struct transport_dpdk words = { 0 };
    struct transport_config config = { .backend = &words };
    snprintf(words.port, sizeof(words.port), "%s", port);
    snprintf(words.memif_dir, sizeof(words.memif_dir), "%s", memif_dir);
    why[0] = 0;
    return dpdk_check(&config, why, sizeof(why));
}

Test(check, a_word_that_is_no_port_is_told_what_ports_look_like)
{
    static const char *const words[] = {
        "", "eth0", "pigeon", "00:3b:00.0.1", "af_packet", "memi"
    };
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        cr_assert_eq(check(words[i], ""), -EINVAL, "%s", words[i]);
        cr_assert_not_null(strstr(why, "af_xdp:eth1"));
    }
}

Test(check, an_interface_must_be_there)
{
    cr_assert_eq(check("af_packet:lo", ""), 0);
    cr_assert_eq(check("af_xdp:lo", ""), 0);
    cr_assert_eq(check("af_packet:nowhere0", ""), -ENODEV);
    cr_assert_not_null(strstr(why, "nowhere0"));
    cr_assert_not_null(strstr(why, "ip link"));
    cr_assert_eq(check("af_xdp:", ""), -ENODEV);
}

Test(check, a_pci_device_must_be_there)
{
    cr_assert_eq(check("ffff:ff:1f.7", ""), -ENODEV);
    cr_assert_not_null(strstr(why, "lspci"));
}

Test(check, addresses_of_pci_have_four_parts_and_no_more)
{
    cr_assert(dpdk_is_pci("0000:3b:00.0"));
    cr_assert(dpdk_is_pci("10000:01:1f.7"));
    cr_assert_not(dpdk_is_pci("3b:00.0"));
    cr_assert_not(dpdk_is_pci("0000:3b:00.0 "));
    cr_assert_not(dpdk_is_pci("0000:3b:00"));
}

Test(check, devices_in_dpdks_own_words_are_dpdks_to_judge)
{
    cr_assert_eq(check("net_null0,size=64", ""), 0);
}

Test(check, nobody_else_may_write_where_memif_sockets_meet)
{
    char directory[] = "/tmp/check-XXXXXX", link[32];
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(check("memif", directory), 0);
    chmod(directory, 0777);
    cr_assert_eq(check("memif", directory), -EACCES);
    cr_assert_not_null(strstr(why, directory));
    chmod(directory, 0700);
    snprintf(link, sizeof(link), "%s/l", directory);
    cr_assert_eq(symlink("/tmp", link), 0);
    cr_assert_eq(check("memif", link), -EACCES);
    unlink(link);
    rmdir(directory);
    cr_assert_eq(check("memif", directory), 0, "it is made when it is needed");
}
