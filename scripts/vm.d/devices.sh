# SPDX-License-Identifier: BSD-3-Clause
# The guest's devices: huge pages, network cards to give away, RDMA devices. Sourced by `guest`, which has
# guest_fails and the settings HUGEPAGES, NICS, NIC_DRIVER, DEVICES and DRIVER.
# shellcheck shell=bash

make_devices()
{
    local modules=()
    [ "$NICS" = 0 ] || modules+=("$NIC_DRIVER")
    [ "$DEVICES" = 0 ] || modules+=(veth bridge sch_netem "${DRIVER/#rxe/rdma_rxe}" ib_uverbs rdma_ucm)
    [ ${#modules[@]} = 0 ] || modprobe -a "${modules[@]}" ||
        guest_fails "a kernel module could not be loaded: ${modules[*]}"
    huge_pages
    nics
    network >/run/vm/network
    ip -batch /run/vm/network || guest_fails "the network could not be made"
    rdma_devices
}

huge_pages()
{
    local got
    [ "$HUGEPAGES" != 0 ] || return 0
    echo "$HUGEPAGES" >/proc/sys/vm/nr_hugepages
    got=$(</proc/sys/vm/nr_hugepages)
    [ "$got" = "$HUGEPAGES" ] ||
        guest_fails "only $got of $HUGEPAGES huge pages fit into its memory; --memory gives it more"
    mkdir -p /dev/hugepages
    mount -t hugetlbfs hugetlbfs /dev/hugepages
}

# The cards of the class Ethernet go to the driver through which programs reach them.
nics()
{
    local card address
    : >/run/nics
    for card in /sys/bus/pci/devices/*; do
        [[ $(<"$card/class") == 0x0200* ]] || continue
        address=${card##*/}
        [ ! -e "$card/driver" ] || echo "$address" >"$card/driver/unbind"
        echo "$NIC_DRIVER" >"$card/driver_override"
        echo "$address" >/sys/bus/pci/drivers_probe
        [ -e "$card/driver" ] || guest_fails "the driver $NIC_DRIVER does not take the card $address"
        echo "$address" >>/run/nics
    done
}

# Prints what `ip -batch` is to do: rdma0, rdma1, ... with 10.77.0.1, 10.77.0.2, ..., each one end of a pair
# whose other end, port0, port1, ..., stands in the bridge sw0.
#
# All lie in the first network namespace, as rxe needs it. Of its own the kernel would carry what one of its
# addresses sends to another over lo, past the bridge. So the table `local` is asked late, and before it
# one table an interface, in which only that interface's own address is local: it counts for what is sent
# from that address or through that interface. What arrives on an interface is for us as ever.
# Neighbours are entered for good, so that loss on a port hits no ARP.
network()
{
    local i j
    echo "link set lo up"
    [ "$DEVICES" != 0 ] || return 0
    for i in all default; do
        echo 1 >/proc/sys/net/ipv6/conf/$i/disable_ipv6
        echo 0 >/proc/sys/net/ipv4/conf/$i/rp_filter
        echo 1 >/proc/sys/net/ipv4/conf/$i/accept_local
        echo 1 >/proc/sys/net/ipv4/conf/$i/arp_ignore
        echo 2 >/proc/sys/net/ipv4/conf/$i/arp_announce
    done
    echo "link add sw0 mtu 9000 type bridge mcast_snooping 0"
    echo "link set sw0 up"
    for ((i = 0; i < DEVICES; i++)); do
        echo "link add rdma$i mtu 9000 address $(mac "$i") type veth peer name port$i mtu 9000"
        echo "link set port$i master sw0 up"
        echo "link set rdma$i up"
        echo "address add $(ipv4 "$i")/24 dev rdma$i"
        echo "route add local $(ipv4 "$i") dev rdma$i table $((100 + i))"
        echo "route add 10.77.0.0/24 dev rdma$i src $(ipv4 "$i") table $((100 + i))"
        echo "route add multicast 224.0.0.0/4 dev rdma$i src $(ipv4 "$i") table $((100 + i))"
        echo "rule add pref 10 iif rdma$i lookup local"
        echo "rule add pref 20 from $(ipv4 "$i") lookup $((100 + i))"
        echo "rule add pref 30 oif rdma$i lookup $((100 + i))"
        for ((j = 0; j < DEVICES; j++)); do
            [ "$i" = "$j" ] ||
                echo "neigh replace $(ipv4 "$j") lladdr $(mac "$j") dev rdma$i nud permanent"
        done
    done
    echo "rule add pref 40 lookup local"
    echo "rule del pref 0"
}

ipv4()
{
    echo "10.77.0.$(($1 + 1))"
}

mac()
{
    printf '02:00:00:77:00:%02x' "$(($1 + 1))"
}

rdma_devices()
{
    local i
    for ((i = 0; i < DEVICES; i++)); do
        rdma link add "$DRIVER$i" type "$DRIVER" netdev "rdma$i" ||
            guest_fails "the RDMA device $DRIVER$i could not be made on rdma$i"
    done
}
