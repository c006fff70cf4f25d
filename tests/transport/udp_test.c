/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UDP beyond the contract: what open() refuses, who may send to us, how it batches.
 */
#include "cluster.h"

#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

struct refusal {
    const char *address[2];
    uint16_t port; /* 0: a free one */
    int node_count;
    uint32_t frame_bytes_max; /* 0: 1000 */
    const char *group;
    int error;
    const char *says; /* and says this */
};

static const struct refusal refusals[] = {
    { { "node-a.example" }, 0, 1, 0, NULL, -EINVAL, "not numeric" },
    { { "127.0.0.1.2" }, 0, 1, 0, NULL, -EINVAL, "not numeric" },
    { { "127.0.0.1%lo" }, 0, 1, 0, NULL, -EINVAL, "not numeric" },
    { { "" }, 0, 1, 0, NULL, -EINVAL, "not numeric" },
    { { "198.51.100.77" }, 5405, 1, 0, NULL, -EADDRNOTAVAIL, "no interface of this machine" },
    { { "2001:db8::77" }, 5405, 1, 0, NULL, -EADDRNOTAVAIL, "no interface of this machine" },
    { { "fe80::1" }, 5405, 1, 0, NULL, -EDESTADDRREQ, "fe80::1%interface" },
    { { "fe80::1%nolink7" }, 5405, 1, 0, NULL, -ENODEV, "ip link" },
    { { "224.1.2.3" }, 5405, 1, 0, NULL, -EINVAL, "not the address of one machine" },
    { { "0.0.0.0" }, 5405, 1, 0, NULL, -EINVAL, "not the address of one machine" },
    { { "::" }, 5405, 1, 0, NULL, -EINVAL, "not the address of one machine" },
    { { "127.0.0.1", "::1" }, 0, 2, 0, NULL, -EINVAL, "family" },
    { { "127.0.0.1" }, 0, 1, 65508, NULL, -EMSGSIZE, "65507" },
    { { "::1" }, 0, 1, 65528, NULL, -EMSGSIZE, "65527" },
    { { "127.0.0.1" }, 0, 1, 2000, NULL, -EINVAL, "slots" },
    { { "127.0.0.1" }, 0, 1, 0, "10.1.2.3", -EINVAL, "not a multicast group" },
    { { "127.0.0.1" }, 0, 1, 0, "ff05::1", -EINVAL, "family" },
    { { "127.0.0.1" }, 0, 1, 0, "all-nodes", -EINVAL, "not numeric" },
    { { "127.0.0.1" }, 0, 0, 0, NULL, -EINVAL, "0 nodes" },
};

/* An open() that needs only nodes; the pool is never touched when it fails. */
static int try_open(struct transport **tp, const struct transport_node *nodes, int count,
                    uint32_t node_id, uint32_t frame_bytes_max, const char *group, char *why,
                    size_t why_bytes)
{
    static struct zcb_pool pool = { .slot_bytes = 1024 };
    struct transport_config config = { .node_id = node_id,
                                       .nodes = nodes,
                                       .node_count = count,
                                       .frame_bytes_max = frame_bytes_max,
                                       .multicast = group,
                                       .multicast_port = 5405,
                                       .rx_pool = &pool };

    return transport_udp.open(tp, &config, why, why_bytes);
}

static void is_one_line(const char *why)
{
    cr_assert_eq(strncmp(why, "udp: ", 5), 0, "%s", why);
    cr_assert_null(strchr(why, '\n'));
    cr_assert_not_null(strchr(why + 5, ':'), "no remedy: %s", why);
}

Test(udp_open, says_what_failed_and_what_to_do)
{
    for (size_t i = 0; i < ARRAY_COUNT(refusals); i++) {
        const struct refusal *r = &refusals[i];
        struct transport_node nodes[2] = { { .node_id = 4 }, { .node_id = 5 } };
        struct transport *tp = NULL;
        char why[512] = "";
        int before = open_descriptors();
        int error;

        for (int n = 0; n < r->node_count; n++) {
            if (r->port != 0 || inet_addr(r->address[n]) == INADDR_NONE) {
                snprintf(nodes[n].address, sizeof nodes[n].address, "%s", r->address[n]);
                nodes[n].port = r->port != 0 ? r->port : 5405;
            } else {
                free_address(&nodes[n], r->address[n], nodes[n].node_id);
            }
        }
        error = try_open(&tp, nodes, r->node_count, 4,
                         r->frame_bytes_max != 0 ? r->frame_bytes_max : 1000, r->group, why,
                         sizeof why);
        cr_assert_eq(error, r->error, "case %zu: %d: %s", i, error, why);
        cr_assert_not_null(strstr(why, r->says), "case %zu: %s", i, why);
        is_one_line(why);
        cr_assert_null(tp);
        cr_assert_eq(open_descriptors(), before);
    }
}

Test(udp_open, says_that_the_port_is_in_use)
{
    struct cluster c;
    struct transport *tp = NULL;
    char why[512] = "";

    cluster_open(&c, UDP_IPV4, NULL);
    cr_assert_eq(try_open(&tp, c.nodes, 3, c.nodes[0].node_id, 1000, NULL, why, sizeof why),
                 -EADDRINUSE);
    cr_assert_not_null(strstr(why, "in use"));
    is_one_line(why);
    cluster_close(&c);
}

Test(udp_open, says_that_nodes_are_listed_wrongly)
{
    struct transport_node nodes[2] = { { .node_id = 4, .address = "127.0.0.1", .port = 5405 },
                                       { .node_id = 4, .address = "127.0.0.2", .port = 5405 } };
    struct transport *tp;
    char why[512];

    cr_assert_eq(try_open(&tp, nodes, 2, 4, 1000, NULL, why, sizeof why), -EINVAL);
    cr_assert_not_null(strstr(why, "listed twice"));
    nodes[1] = (struct transport_node){ .node_id = 5, .address = "127.0.0.1", .port = 5405 };
    cr_assert_eq(try_open(&tp, nodes, 2, 4, 1000, NULL, why, sizeof why), -EINVAL);
    cr_assert_not_null(strstr(why, "same address"));
    nodes[1].port = 0;
    cr_assert_eq(try_open(&tp, nodes, 2, 4, 1000, NULL, why, sizeof why), -EINVAL);
    cr_assert_not_null(strstr(why, "port 0"));
    nodes[1].port = 5406;
    cr_assert_eq(try_open(&tp, nodes, 2, 6, 1000, NULL, why, sizeof why), -EINVAL);
    cr_assert_not_null(strstr(why, "no such id"));
}

Test(udp_open, refuses_a_group_of_another_link_than_ours)
{
    struct transport_node node = { .node_id = 4 };
    struct transport *tp = NULL;
    char why[512];
    int before;

    if (!isolate())
        cr_skip_test("needs a network namespace");
    free_address(&node, "::1", 4);
    before = open_descriptors();
    cr_assert_eq(try_open(&tp, &node, 1, 4, 1000, "ff02::5%77", why, sizeof why), -EINVAL);
    cr_assert_not_null(strstr(why, "on interface lo"));
    is_one_line(why);
    cr_assert_null(tp);
    cr_assert_eq(open_descriptors(), before);
}

Test(udp, is_found_by_its_name)
{
    cr_assert_eq(transport_find("udp"), &transport_udp);
    cr_assert_null(transport_find("sim")); /* not for configurations */
    cr_assert_null(transport_find(""));
}

Test(udp, descriptors_neither_block_nor_leave_the_process)
{
    struct cluster c;
    bool before[256];
    int made = 0;

    isolate();
    for (int fd = 0; fd < 256; fd++)
        before[fd] = fcntl(fd, F_GETFD) >= 0;
    cluster_open(&c, UDP_IPV4_MULTICAST, &(struct options){ .parties = 1 });
    for (int fd = 0; fd < 256; fd++) {
        int type;
        if (before[fd] || fcntl(fd, F_GETFD) < 0 || fd == c.party[0].arena.fd)
            continue;
        made++;
        cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){ sizeof type }) == 0)
            cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    }
    cr_assert_geq(made, 3); /* two sockets and what nests them */
    cluster_close(&c);
}

Test(udp, tells_how_large_the_buffers_are)
{
    struct cluster c;
    struct transport_caps caps;

    cluster_open(&c, UDP_IPV4, &(struct options){ .socket_bytes = 100000 });
    c.party[0].tp->ops->query(c.party[0].tp, &caps);
    cr_assert_eq(caps.socket_bytes, 100000);
    cr_assert_eq(caps.socket_bytes_wanted, 100000);
    cluster_close(&c);
}

/* Runs of datagrams leave the kernel together. */
Test(udp, V4_readable_while_a_run_waits_for_slots)
{
    struct cluster c;
    struct transport_caps caps;
    struct zcb *frame[32];
    uint64_t begin_ns = clock_ns();

    cluster_open(&c, UDP_IPV4, &(struct options){ .parties = 2, .rx_count = 20 });
    c.party[1].tp->ops->query(c.party[1].tp, &caps);
    for (uint32_t k = 0; k < 32; k++)
        frame[k] = frame_make(&c, 0, c.party[1].node_id, k, 40, 60, 1);
    send_all(&c, 0, frame, 32);
    receive(&c, 1, frame, 20);
    for (int turn = 0; turn < 3; turn++) {
        cr_assert_eq(transport_rx_burst(c.party[1].tp, frame + 20, 12), 0);
        cr_assert(readable(caps.sleep_fd));
    }
    drop_all(frame, 20);
    receive(&c, 1, frame + 20, 12);
    for (uint32_t k = 20; k < 32; k++)
        frame_check(frame[k], c.party[0].node_id, k, 100);
    drop_all(frame + 20, 12);
    cr_assert_eq(transport_rx_burst(c.party[1].tp, frame, 32), 0);
    while (readable(caps.sleep_fd))
        deadline_check(begin_ns, "silence");
    cluster_close(&c);
}

/* A socket that is no node's, or, bound, one that says it is. */
static int stranger(const struct transport_node *as, const struct transport_node *to)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = { .sin_family = AF_INET };

    if (as != NULL) {
        address.sin_port = htons(as->port);
        inet_pton(AF_INET, as->address, &address.sin_addr);
        cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    }
    address.sin_port = htons(to->port);
    inet_pton(AF_INET, to->address, &address.sin_addr);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

Test(udp, frames_of_strangers_are_counted_and_dropped)
{
    struct cluster c;
    struct transport_node other_port;
    const struct transport_stats *stats;
    int fd[2];

    cluster_open(&c, UDP_IPV4, NULL);
    free_address(&other_port, c.nodes[1].address, 99); /* a node's address, not its port */
    fd[0] = stranger(NULL, &c.nodes[0]);
    fd[1] = stranger(&other_port, &c.nodes[0]);
    for (int k = 0; k < 40; k++)
        cr_assert_eq(send(fd[k % 2], "intruder", 8, 0), 8);
    cr_assert_eq(drain(&c, 1, 0), 0);
    stats = c.party[0].tp->ops->stats(c.party[0].tp);
    cr_assert_eq(stats->rx_unknown_source, 40);
    cr_assert_eq(stats->rx_frames, 1); /* the marker */
    close(fd[0]);
    close(fd[1]);
    cluster_close(&c);
}

/* Cut by the kernel of the receiver, where it cuts at all. */
static void send_run(int fd, const char *bytes, size_t length, uint16_t cut)
{
    struct iovec iov = { (void *)bytes, length };
    char space[CMSG_SPACE(sizeof cut)] = "";
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space
    };
    struct cmsghdr *control = CMSG_FIRSTHDR(&message);

    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = 103; /* UDP_SEGMENT */
    control->cmsg_len = CMSG_LEN(sizeof cut);
    memcpy(CMSG_DATA(control), &cut, sizeof cut);
    cr_assert_eq(sendmsg(fd, &message, 0), (ssize_t)length);
}

Test(udp, runs_of_what_is_not_for_us_are_counted_one_by_one)
{
    static const char bytes[20000];
    const struct transport_stats *stats;
    struct cluster c;
    int fd;

    cluster_open(&c, UDP_IPV4, NULL);
    stats = c.party[0].tp->ops->stats(c.party[0].tp);
    fd = stranger(NULL, &c.nodes[0]);
    send_run(fd, bytes, 1000, 100); /* ten from nobody */
    send_run(fd, bytes, 1010, 100); /* eleven */
    close(fd);
    party_close(&c, 1);
    fd = stranger(&c.nodes[1], &c.nodes[0]);
    send_run(fd, bytes, 10 * (FRAME_BYTES_MAX + 1), FRAME_BYTES_MAX + 1); /* ten too long */
    send_run(fd, bytes, 3 * FRAME_BYTES_MAX + 1, FRAME_BYTES_MAX);        /* four that are not */
    close(fd);
    cr_assert_eq(drain(&c, 2, 0), 4);
    cr_assert_eq(stats->rx_unknown_source, 21);
    cr_assert_eq(stats->rx_too_long, 10);
    cluster_close(&c);
}

Test(udp, a_datagram_longer_than_a_frame_is_counted_and_dropped)
{
    struct cluster c;
    char bytes[FRAME_BYTES_MAX + 1] = "";
    int fd;

    cluster_open(&c, UDP_IPV4, NULL);
    party_close(&c, 1);
    fd = stranger(&c.nodes[1], &c.nodes[0]);
    cr_assert_eq(send(fd, bytes, sizeof bytes, 0), (ssize_t)sizeof bytes);
    cr_assert_eq(send(fd, bytes, sizeof bytes - 1, 0), (ssize_t)sizeof bytes - 1);
    cr_assert_eq(drain(&c, 2, 0), 1);
    cr_assert_eq(c.party[0].tp->ops->stats(c.party[0].tp)->rx_too_long, 1);
    close(fd);
    cluster_close(&c);
}

Test(udp, a_batch_of_frames_and_destinations_is_one_call)
{
    struct cluster c;
    struct zcb *frame[16];
    const struct transport_stats *stats;

    cluster_open(&c, UDP_IPV4, &(struct options){ .parties = 5 });
    stats = c.party[0].tp->ops->stats(c.party[0].tp);
    for (uint32_t k = 0; k < 16; k++)
        frame[k] = frame_make(&c, 0, ZCB_TO_ALL, k, 40, 60, 1);
    send_all(&c, 0, frame, 16);
    cr_assert_eq(stats->tx_frames, 64);
    cr_assert_eq(stats->tx_bytes, 6400);
    cr_assert_eq(stats->tx_calls, 1);
    receive(&c, 1, frame, 16);
    cr_assert_eq(c.party[1].tp->ops->stats(c.party[1].tp)->rx_calls, 1);
    drop_all(frame, 16);
    cluster_close(&c);
}

/* None of them is refused for its size, which would show in the calls. */
Test(udp, long_runs_are_sent_as_the_kernel_takes_them)
{
    struct cluster c;
    struct zcb *frame[130];
    const struct transport_stats *stats;

    cluster_open(&c, UDP_IPV4, NULL);
    stats = c.party[0].tp->ops->stats(c.party[0].tp);
    for (uint32_t k = 0; k < 130; k++)
        frame[k] = frame_make(&c, 0, c.party[1].node_id, k, 40, FRAME_BYTES_MAX - 40, 1);
    send_all(&c, 0, frame, 130);
    cr_assert_eq(stats->tx_calls, 1);
    cr_assert_eq(drain(&c, 0, 1), 130);
    for (uint32_t k = 0; k < 130; k++)
        frame[k] = frame_make(&c, 0, c.party[1].node_id, k, 40, 0, 0);
    send_all(&c, 0, frame, 130);
    cr_assert_eq(stats->tx_calls, 3); /* one of them drain()'s */
    cr_assert_eq(drain(&c, 0, 1), 130);
    cluster_close(&c);
}

static void busy_group(struct cluster *c, uint32_t lengths)
{
    struct zcb *frame[32];
    bool came = false;

    for (int turn = 0; turn < 30 && !came; turn++) { /* two go in for each that comes out */
        for (uint32_t k = 0; k < 32; k++)
            frame[k] = frame_make(c, 0, ZCB_TO_ALL, k, 40 + k % lengths, 0, 0);
        send_all(c, 0, frame, 32);
        if (turn == 2) /* the token, say */
            send_one(c, 0, frame_make(c, 0, c->party[1].node_id, 7, 90, 0, 0));
        int n = transport_rx_burst(c->party[1].tp, frame, 16);
        for (int k = 0; k < n; k++)
            came = came || frame[k]->head_bytes == 90;
        drop_all(frame, n);
    }
    cr_assert(came);
    cluster_close(c);
}

Test(udp, a_busy_group_does_not_starve_what_is_for_us_alone)
{
    struct cluster c;

    cluster_open(&c, UDP_IPV4_MULTICAST, &(struct options){ .parties = 2 });
    busy_group(&c, 2); /* each frame by itself */
}

Test(udp, nor_does_a_group_that_sends_runs)
{
    struct cluster c;

    cluster_open(&c, UDP_IPV4_MULTICAST, &(struct options){ .parties = 3 });
    busy_group(&c, 1);
}
