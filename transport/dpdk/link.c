/* SPDX-License-Identifier: BSD-3-Clause */
#include "link.h"
#include "group.h"
#include "neighbour.h"

#define LOOK_NS      (10 * NS_PER_MS) /* at links, and at what is due */
#define ASK_NS_FIRST (10 * NS_PER_MS)
#define ASK_NS_MOST  NS_PER_S
#define WANTED_NS    (100 * NS_PER_MS) /* between questions for one to whom frames are to go */
#define CONFIRM_NS   (30 * NS_PER_S)   /* a router */
#define LARGE_NS     (3 * NS_PER_S)    /* after so much longer it is asked for at large */
#define REPORT_NS    NS_PER_S /* the second report: the first may be lost, and none is confirmed */

/* No system call: the time stamp counter, scaled. */
static uint64_t clock_ns(const struct dpdk_link *link)
{
    return (uint64_t)((unsigned __int128)rte_rdtsc() * link->ns_per_cycle_32 >> 32);
}

void dpdk_link_init(struct dpdk *d)
{
    struct dpdk_link *link = &d->link;
    link->ns_per_cycle_32 = (NS_PER_S << 32) / rte_get_tsc_hz();
    link->now_ns = clock_ns(link);
    link->report_ns = link->now_ns;
    link->group_version = GROUP_VERSION_NEWEST;
    d->base.links = 1; /* some may be down */
    for (int i = 0; i < d->peers.count; i++)
        link->ask_interval_ns[i] = ASK_NS_FIRST;
}

typedef uint32_t (*control_fn)(const struct dpdk *d, const void *about, uint8_t *packet);

/* Build and send a packet of control_fn's making. */
static void send_control(struct dpdk *d, struct dpdk_port *port, control_fn make, const void *about)
{
    struct rte_mbuf *m = port->up ? dpdk_tx_control_mbuf(d) : NULL;
    if (!m)
        return;
    uint32_t bytes = make(d, about, rte_pktmbuf_mtod(m, uint8_t *));
    if (bytes == 0) {
        rte_pktmbuf_free(m);
        return;
    }
    m->data_len = (uint16_t)bytes;
    m->pkt_len = bytes;
    dpdk_tx_control(d, port, m);
}

static uint32_t make_answer(const struct dpdk *d, const void *about, uint8_t *packet)
{
    return neighbour_answer(&d->local, about, packet);
}

static uint32_t make_announcement(const struct dpdk *d, const void *about, uint8_t *packet)
{
    (void)about;
    return neighbour_announce(&d->local, packet);
}

struct question {
    const struct ip_address *ip;
    const struct mac *mac; /* NULL: to all */
};

static uint32_t make_question(const struct dpdk *d, const void *about, uint8_t *packet)
{
    const struct question *q = about;
    return neighbour_ask(&d->local, q->ip, q->mac, packet);
}

static uint32_t make_report(const struct dpdk *d, const void *about, uint8_t *packet)
{
    return group_report(&d->local, *(const enum group_news *)about, d->link.group_version, packet);
}

/* Peers that were routed through it, and itself. */
static void use_mac(struct dpdk *d, uint8_t hop)
{
    for (uint8_t peer = 0; peer < d->node_count; peer++) {
        const struct mac *mac = peer_map_mac(&d->peers, peer);
        if (mac && peer_map_hop(&d->peers, peer) == hop)
            packet_template_mac(&d->to[peer], mac);
    }
}

void dpdk_link_heard(struct dpdk *d, uint8_t peer, const struct mac *mac)
{
    if (__builtin_expect(!d->port[d->port_of[peer]].up, 0))
        d->link.look_ns = 0; /* it came up */
    enum peer_news news = peer_map_learn(&d->peers, peer, mac, d->link.now_ns);
    if (__builtin_expect(news == PEER_NEW || news == PEER_MOVED, 0))
        use_mac(d, peer);
}

static void query_heard(struct dpdk *d, const struct group_query *query)
{
    struct dpdk_link *link = &d->link;
    uint64_t most_ns = query->delay_ns_max > 0 ? query->delay_ns_max : 1;
    uint64_t due_ns = link->now_ns + rte_rdtsc() % most_ns;
    link->group_version = query->version;
    link->report_ns = min_u64(link->report_ns, due_ns); /* K3 */
}

void dpdk_link_control(struct dpdk *d, struct dpdk_port *port, enum packet_verdict verdict,
                       const struct packet_view *view)
{
    switch (verdict) {
    case PACKET_NEIGHBOUR_ASKS:
        send_control(d, port, make_answer, &view->neighbour);
        break;
    case PACKET_NEIGHBOUR_TELLS:
        break;
    case PACKET_GROUP_QUERY:
        query_heard(d, &view->query);
        return;
    default:
        return;
    }
    if (view->source != PEER_NONE && view->neighbour.teaches)
        dpdk_link_heard(d, view->source, &view->neighbour.mac);
}

void dpdk_link_wanted(struct dpdk *d, uint8_t peer)
{
    struct dpdk_link *link = &d->link;
    uint8_t hop = peer_map_hop(&d->peers, peer);
    uint64_t soon_ns = link->asked_ns[hop] + WANTED_NS;
    link->ask_ns[hop] = min_u64(link->ask_ns[hop], soon_ns);
}

/* K4. What a node sends confirms it: only routers are asked for again. */
static bool is_fresh(const struct dpdk *d, uint8_t hop)
{
    uint64_t age_ns = peer_map_age_ns(&d->peers, hop, d->link.now_ns);
    return age_ns < CONFIRM_NS || (age_ns != NS_NEVER && hop < d->node_count);
}

/* K1, K4 */
static void ask_for(struct dpdk *d, uint8_t hop)
{
    struct dpdk_link *link = &d->link;
    struct dpdk_port *port = &d->port[d->port_of[hop]];
    if (!port->up) {
        link->ask_interval_ns[hop] = ASK_NS_FIRST;
        link->ask_ns[hop] = 0;
        return;
    }
    if (is_fresh(d, hop) || link->now_ns < link->ask_ns[hop])
        return;
    struct question question = { .ip = &d->peers.item[hop].ip };
    if (peer_map_age_ns(&d->peers, hop, link->now_ns) < CONFIRM_NS + LARGE_NS)
        question.mac = peer_map_mac(&d->peers, hop);
    send_control(d, port, make_question, &question);
    link->asked_ns[hop] = link->now_ns;
    link->ask_ns[hop] = link->now_ns + link->ask_interval_ns[hop];
    link->ask_interval_ns[hop] = min_u64(2 * link->ask_interval_ns[hop], ASK_NS_MOST);
}

static void ask_for_all(struct dpdk *d)
{
    for (uint8_t hop = 0; hop < d->peers.count; hop++)
        if (hop != d->self && peer_map_hop(&d->peers, hop) == hop)
            ask_for(d, hop);
}

static void report_group(struct dpdk *d)
{
    struct dpdk_link *link = &d->link;
    if (!d->local.has_group || link->now_ns < link->report_ns || !d->port[0].up)
        return;
    enum group_news news = link->reports < 2 ? GROUP_JOINED : GROUP_STAYS;
    send_control(d, &d->port[0], make_report, &news);
    link->reports++;
    link->report_ns = link->reports < 2 ? link->now_ns + REPORT_NS : NS_NEVER;
}

static void look_at_port(struct dpdk *d, struct dpdk_port *port)
{
    bool was_up = port->up, up = dpdk_port_look(port);
    d->base.links += up != was_up;
    if (!up || was_up)
        return;
    send_control(d, port, make_announcement, NULL);
    d->link.reports = 0; /* another switch, perhaps */
    d->link.report_ns = d->link.now_ns;
}

static uint32_t unreachable(const struct dpdk *d)
{
    uint32_t count = 0;
    for (int i = 0; i < d->all.count; i++) {
        uint8_t peer = d->all.peer[i];
        count += !d->port[d->port_of[peer]].up || !peer_map_mac(&d->peers, peer);
    }
    return count;
}

/* K2 */
void dpdk_link_chores(struct dpdk *d)
{
    struct dpdk_link *link = &d->link;
    link->now_ns = clock_ns(link);
    if (link->now_ns < link->look_ns)
        return;
    link->look_ns = link->now_ns + LOOK_NS;
    d->base.awaits = false;
    for (int i = 0; i < d->port_count; i++) {
        look_at_port(d, &d->port[i]);
        d->base.awaits = d->base.awaits || !d->port[i].up;
    }
    ask_for_all(d);
    report_group(d);
    d->stats.unreachable_peers = unreachable(d);
}

void dpdk_link_close(struct dpdk *d)
{
    enum group_news left = GROUP_LEFT;
    if (d->local.has_group)
        send_control(d, &d->port[0], make_report, &left);
}
