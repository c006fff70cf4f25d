/* SPDX-License-Identifier: BSD-3-Clause */
#include "inbox.h"

#include <errno.h>
#include <sys/mman.h>

#include "card.h"

enum {
    XDP_BEFORE = 256, /* of each buffer, the kernel's */
    PAGE_BYTES = 4096,
    /* af_xdp's driver posts 2048 to receive, and copies what it sends into as many as there are
     * descriptors for; then there is the burst in hand. */
    INBOX_PACKETS = 3 * DPDK_DESCRIPTORS + 2 * TRANSPORT_BURST,
};

static void unmap(struct rte_mempool_memhdr *memory, void *arg)
{
    (void)arg;
    munmap(memory->addr, memory->len);
}

static bool fill_with_pages(struct rte_mempool *inbox)
{
    size_t bytes = (size_t)INBOX_PACKETS * PAGE_BYTES;
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (pages == MAP_FAILED)
        return false;
    int packets =
        rte_mempool_populate_iova(inbox, pages, (rte_iova_t)(uintptr_t)pages, bytes, unmap, NULL);
    if (packets <= 0)
        munmap(pages, bytes); /* else it is the pool's */
    return packets == INBOX_PACKETS;
}

static uint32_t page_room(void)
{
    return PAGE_BYTES - (uint32_t)sizeof(struct rte_mbuf) -
           RTE_ALIGN_CEIL((uint32_t)sizeof(struct rte_mempool_objhdr), RTE_MEMPOOL_ALIGN);
}

uint32_t dpdk_inbox_page_most(void)
{
    return page_room() - RTE_PKTMBUF_HEADROOM - XDP_BEFORE;
}

static struct rte_mempool *of_pages(const char *name)
{
    struct rte_pktmbuf_pool_private about = { .mbuf_data_room_size = (uint16_t)page_room() };
    struct rte_mempool *inbox = rte_mempool_create_empty(
        name, INBOX_PACKETS, page_room() + (uint32_t)sizeof(struct rte_mbuf), 0, sizeof(about),
        SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_SPREAD);
    if (!inbox)
        return NULL;
    rte_pktmbuf_pool_init(inbox, &about);
    if (!fill_with_pages(inbox)) {
        rte_mempool_free(inbox);
        return NULL;
    }
    rte_mempool_obj_iter(inbox, rte_pktmbuf_init, NULL);
    return inbox;
}

static struct rte_mempool *of_eal(const char *name, uint32_t packet_bytes_max)
{
    uint32_t room = RTE_PKTMBUF_HEADROOM + (uint32_t)align_up(packet_bytes_max, DPDK_CARD_BUFFER);
    return rte_pktmbuf_pool_create(name, INBOX_PACKETS, 0, 0, (uint16_t)room, SOCKET_ID_ANY);
}

int dpdk_inbox_make(struct rte_mempool **out, uint16_t port, enum dpdk_inbox kind,
                    uint32_t packet_bytes_max)
{
    char name[32];
    snprintf(name, sizeof(name), "inbox-%u", port);
    if (kind == DPDK_INBOX_PAGES && packet_bytes_max > dpdk_inbox_page_most())
        return -EMSGSIZE;
    *out = kind == DPDK_INBOX_PAGES ? of_pages(name) : of_eal(name, packet_bytes_max);
    return *out ? 0 : -ENOMEM;
}
