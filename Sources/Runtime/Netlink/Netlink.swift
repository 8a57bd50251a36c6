/// The kernel's network configuration, spoken to in its own messages: rtnetlink (links, addresses, routes), nf_tables and conntrack.
///
/// Owns: `NetlinkBatch`, the messages of one request; `NetlinkSocket`, which sends them and reads the answers; the parsers of what
/// the kernel dumps (`Link`, `LinkAddress`, `Route`, `NftChain`, …); `NetlinkError` with the kernel's own words (extended ack); and
/// the addresses that the messages carry (`IPv4Address`, `IPv4Subnet`, `HardwareAddress`).
///
/// Sources: linux/netlink.h, rtnetlink(7), linux/rtnetlink.h, linux/if_link.h, linux/netfilter/nf_tables.h,
/// linux/netfilter/nfnetlink_conntrack.h. What comes back is parsed strictly: a length that doesn't fit is an error, never a trap.
///
/// A socket belongs to the network namespace of the thread that opened it, for as long as it lives: so a thread may open one inside
/// a new namespace, go home and still configure it.
///
/// Must not: know of containers, keep state of what it configured, use libmnl or libnftnl, run programs.
public enum Netlink {
  /// Longest interface name (IFNAMSIZ - 1).
  public static let nameLimit = 15
}
