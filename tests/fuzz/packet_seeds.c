/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * packet_seeds.c - writes one good packet of each kind to the folder it is given: the corpus the
 * fuzzer starts from. Run it when packets change: packet_seeds tests/fuzz/corpus/packet
 */
#include "dpdk/group.h"
#include "dpdk/neighbour.h"
#include "transport/packets.h"

static int write_seed(const char *folder, const char *name, uint8_t script, const uint8_t *packet,
                      uint32_t bytes)
{
    static const char *const variant[] = { "v4", "v4_vlan", "v6", "v6_vlan" };
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s_%s", folder, variant[script % VARIANTS], name);
    FILE *file = fopen(path, "wb");
    if (!file)
        return -1;
    bool written = fwrite(&script, 1, 1, file) == 1 && fwrite(packet, 1, bytes, file) == bytes;
    return fclose(file) == 0 && written ? 0 : -1;
}

/* A query is a report of an old version with another type, whose length is the same. */
static uint32_t query_make(const struct pair *p, uint8_t *room)
{
    bool v6 = p->variant >= V6;
    struct packet packet;

    packet_take(&packet, room, group_report(&p->end[A], GROUP_STAYS, v6 ? 1 : 2, room));
    packet.at[ip_place(p) + (v6 ? 48 : 24)] = v6 ? 130 : 0x11;
    packet_mend(p, &packet);
    memcpy(room, packet.at, packet.bytes);
    return packet.bytes;
}

/* One word of IPv4 options, of which the parser must not make a frame of ours. */
static void options_add(const struct pair *p, struct packet *packet)
{
    uint8_t *ip = packet->at + ip_place(p);

    memmove(ip + 24, ip + 20, packet->bytes - ip_place(p) - 20);
    memset(ip + 20, 1, 4); /* no operation, four times */
    packet->bytes += 4;
    ip[0]++;
    ip[3] = (uint8_t)(ip[3] + 4);
    packet_mend(p, packet);
}

static int write_variant(const char *folder, enum variant variant)
{
    uint8_t room[PACKET_CONTROL_ROOM], script = (uint8_t)variant;
    struct packet packet;
    struct pair p;
    int error = 0;

    pair_init(&p, variant);
    packet_make(&packet, &p, B, 21);
    error |= write_seed(folder, "unicast", script, packet.at, packet.bytes);
    packet_make(&packet, &p, -1, 21);
    error |= write_seed(folder, "group", script, packet.at, packet.bytes);
    error |= write_seed(folder, "build", script | 0x80, packet.at, packet.bytes);
    error |=
        write_seed(folder, "ask", script, room, neighbour_ask(&p.end[A], &p.end[B].ip, NULL, room));
    error |= write_seed(folder, "announce", script, room, neighbour_announce(&p.end[A], room));
    error |= write_seed(folder, "report", script, room,
                        group_report(&p.end[A], GROUP_JOINED, GROUP_VERSION_NEWEST, room));
    error |= write_seed(folder, "query", script, room, query_make(&p, room));
    if (variant < V6) {
        packet_make(&packet, &p, B, 21);
        options_add(&p, &packet);
        error |= write_seed(folder, "options", script, packet.at, packet.bytes);
    }
    return error;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    for (enum variant v = V4; v < VARIANTS; v++) {
        if (write_variant(argv[1], v) < 0) {
            perror(argv[1]);
            return 1;
        }
    }
    return 0;
}
