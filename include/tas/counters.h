/*
 * counters.h - every counter of the service, one X-macro row each: X(name, unit, help).
 *
 * 64 bits, one writer each. The same rows make the structs, tasctl, JSON, the manual page and metrics.
 * FP rows exist once per fast-path core (writer: that core), SP rows once (writer: the slow path), APP rows
 * once per process (fp_ ones: written by cores with relaxed add, since a process may use several).
 * A row whose name starts with drop_ or refuse_ is a reason and is listed by `tasctl drops`.
 */
#ifndef TAS_COUNTERS_H
#define TAS_COUNTERS_H

#include <stdint.h>

#define TAS_FP_COUNTERS(X)                                                                                             \
	X(loops, "rounds", "rounds of the core loop")                                                                  \
	X(loops_busy, "rounds", "rounds that found work")                                                              \
	X(busy_ns, "ns", "time spent in rounds that found work")                                                       \
	X(sleeps, "times", "times the core blocked")                                                                   \
	X(sleep_ns, "ns", "time spent blocked")                                                                        \
	X(rx_packets, "frames", "frames received")                                                                     \
	X(rx_bytes, "bytes", "bytes received, with headers")                                                           \
	X(rx_bursts, "bursts", "receive bursts that held at least one frame")                                          \
	X(rx_merged, "frames", "frames merged into another of the same flow and burst")                                \
	X(rx_forwarded, "frames", "frames handed to the core that owns their flow group")                              \
	X(tx_packets, "frames", "frames sent")                                                                         \
	X(tx_bytes, "bytes", "bytes sent, with headers")                                                               \
	X(tx_acks, "frames", "pure acknowledgements sent")                                                             \
	X(loop_packets, "frames", "frames between our own addresses, which the port never sees")                       \
	X(rx_payload, "bytes", "payload delivered in order")                                                           \
	X(tx_payload, "bytes", "payload sent, with retransmissions")                                                   \
	X(rx_ooo, "segments", "segments kept out of order")                                                            \
	X(tx_retrans, "segments", "segments retransmitted")                                                            \
	X(rto, "times", "retransmission timeouts")                                                                     \
	X(tlp, "times", "tail loss probes")                                                                            \
	X(fast_recovery, "times", "fast recoveries entered")                                                           \
	X(spurious_rto, "times", "timeouts undone by F-RTO")                                                           \
	X(zero_window_probes, "frames", "persist probes sent")                                                         \
	X(rx_dup, "segments", "segments wholly received before")                                                       \
	X(challenge_acks, "frames", "challenge ACKs sent (RFC 5961)")                                                  \
	X(app_rings, "slots", "slots that programs rang for")                                                          \
	X(app_wakes, "times", "programs woken by eventfd or futex")                                                    \
	X(wakes_late, "times", "wakes that had to wait a round: the kernel had no memory for them")                      \
	X(groups_moved, "groups", "flow groups taken over from another core")                                          \
	X(flows_moved, "flows", "flows taken over with them")                                                          \
	X(exceptions, "frames", "frames given to the slow path")                                                       \
	X(to_kernel, "frames", "frames not for tas, kept for the kernel (exception_tap)")                              \
	X(cc_feedback, "messages", "feedback messages to congestion control")                                          \
	X(drop_rx_error, "frames", "the device could not hand over: longer than its buffers")                          \
	X(drop_short, "frames", "shorter than its headers say")                                                        \
	X(drop_ethertype, "frames", "not IPv4 or ARP; IPv6 is not served yet")                                         \
	X(drop_not_for_us, "frames", "destination address not served")                                                 \
	X(drop_ip_header, "frames", "malformed IP header")                                                             \
	X(drop_ip_checksum, "frames", "wrong IP header checksum")                                                      \
	X(drop_ip_fragment, "frames", "IP fragment")                                                                   \
	X(drop_ip_options, "frames", "IP source routing or malformed options")                                         \
	X(drop_ip_proto, "frames", "transport protocol not served")                                                    \
	X(drop_tcp_header, "frames", "malformed TCP header or options")                                                \
	X(drop_tcp_checksum, "frames", "wrong TCP checksum")                                                           \
	X(drop_tcp_flags, "frames", "impossible flag combination")                                                     \
	X(drop_gso, "frames", "malformed segmentation header from the device")                                         \
	X(drop_forged, "segments", "from the port, of a connection between our own addresses")                         \
	X(drop_out_of_window, "segments", "outside the receive window")                                                \
	X(drop_bad_ack, "segments", "acknowledges what was never sent, or far too old")                                \
	X(drop_paws, "segments", "timestamp older than the last one (RFC 7323)")                                       \
	X(drop_no_ack, "segments", "no ACK flag on an established flow")                                               \
	X(drop_bad_rst, "segments", "RST outside the window (RFC 5961)")                                               \
	X(drop_ooo_full, "segments", "too many out-of-order intervals")                                                \
	X(drop_no_chunk, "segments", "the program had no receive memory")                                              \
	X(drop_early, "segments", "no program had the connection yet, and its share of the daemon's memory was full")  \
	X(drop_parked, "connections", "reset: handed on when its program's share of the daemon's memory was full")     \
	X(drop_closed_data, "segments", "data after the program closed")                                               \
	X(drop_exc_neigh, "frames", "slow-path queue full: ARP, ND, ICMP")                                             \
	X(drop_exc_segment, "frames", "slow-path queue full: ACKs and RSTs of handshakes, TIME-WAIT, no connection")    \
	X(drop_exc_syn, "frames", "slow-path queue full: SYNs")                                                        \
	X(drop_forward, "frames", "queue to the core that owns the flow group full")                                   \
	X(drop_to_kernel, "frames", "for the kernel: queue full, or a large frame")                                    \
	X(drop_tx_full, "frames", "device transmit queue full")                                                        \
	X(drop_loop_full, "frames", "to our own addresses: queue full")                                                \
	X(drop_tx_neigh, "frames", "next hop not resolved")                                                            \
	X(drop_tx_error, "frames", "the device refused the frame")                                                     \
	X(refuse_slot, "rings", "program rang for a slot it does not have")                                            \
	X(refuse_tx_head, "slots", "program's tx_head went back or beyond its limit")                                  \
	X(refuse_tx_shut, "slots", "program wrote after a holder of the connection had ended the stream")              \
	X(refuse_rx_tail, "slots", "program's rx_tail went back or beyond rx_head")                                    \
	X(refuse_chunk, "slots", "program named a chunk that it does not have")                                        \
	X(refuse_take, "slots", "program took a connection that is not its")                                           \
	X(refuse_evq, "slots", "program named an event queue that it does not have")                                   \
	X(flow_table_full, "times", "flow table part full")                                                            \
	X(drop_msg_flow, "messages", "from the slow path, about a flow that is no longer here")                              \
	X(faults, "frames", "frames harmed on purpose (options fault_*, for tests)")

#define TAS_SP_COUNTERS(X)                                                                                             \
	X(conn_active, "connections", "handshakes started by programs")                                                \
	X(conn_passive, "connections", "handshakes started by peers")                                                  \
	X(conn_established, "connections", "handshakes completed, both ways")                                          \
	X(conn_failed, "connections", "own handshakes that failed")                                                    \
	X(conn_reset_in, "connections", "established connections reset by the peer")                                   \
	X(conn_reset_out, "connections", "established connections reset by us")                                        \
	X(conn_timeout, "connections", "connections given up after retransmitting or probing")                         \
	X(conn_moved, "connections", "connections taken over by another process that holds them")                      \
	X(syn_retrans, "frames", "SYN and SYN-ACK retransmitted")                                                      \
	X(syn_cookies, "frames", "SYN cookies sent")                                                                   \
	X(time_wait, "connections", "entered TIME-WAIT")                                                               \
	X(rst_sent, "frames", "RST sent")                                                                              \
	X(arp_in, "frames", "ARP received")                                                                            \
	X(arp_out, "frames", "ARP sent")                                                                               \
	X(icmp_in, "frames", "ICMP received")                                                                          \
	X(icmp_out, "frames", "ICMP sent")                                                                             \
	X(tap_in, "frames", "frames not for tas, given to the kernel by the exception tap")                            \
	X(tap_out, "frames", "frames of the kernel sent by the exception tap")                                         \
	X(apps_joined, "programs", "programs registered")                                                              \
	X(apps_left, "programs", "programs that ended")                                                                \
	X(apps_killed, "programs", "programs that ended with connections open")                                        \
	X(passed, "descriptors", "connections and listeners passed to another process, or left to a program started")  \
	X(passed_taken, "descriptors", "of these, presented by a process that received them")                          \
	X(passed_lost, "descriptors", "of these, ended because the last descriptor was closed on its way")             \
	X(cc_rounds, "rounds", "congestion control evaluations")                                                       \
	X(ctl_requests, "requests", "tasctl requests")                                                                 \
	X(drop_backlog_full, "segments", "SYN to a listener whose accept queue is full")                               \
	X(drop_syn_bad, "segments", "malformed or impossible SYN")                                                     \
	X(drop_no_conn_memory, "segments", "SYN when the connection table is full")                                    \
	X(drop_no_route, "segments", "SYN or ACK of a peer that no route leads back to, or no neighbour entry")        \
	X(drop_half_open, "connections", "oldest half-open connection dropped for a new SYN")                          \
	X(drop_time_wait, "connections", "oldest TIME-WAIT ended early for a new one (max_time_wait)")                 \
	X(drop_stray, "segments", "segment of no connection, answered with RST or ignored")                            \
	X(drop_bad_cookie, "segments", "ACK with a wrong or too old SYN cookie")                                       \
	X(drop_arp_bad, "frames", "malformed ARP")                                                                     \
	X(drop_icmp_bad, "frames", "malformed or unexpected ICMP")                                                     \
	X(drop_icmp_rate, "frames", "ICMP or RST not sent: rate limit")                                                \
	X(drop_neigh_queue, "frames", "frame dropped waiting for ARP")                                                 \
	X(drop_too_long, "frames", "ICMP longer than is answered, or cut by a core and of no use without the rest")    \
	X(drop_addr_bad, "segments", "to a group, or from a group or one of our own addresses")                        \
	X(drop_not_sent, "frames", "ARP, ICMP, SYN, RST that the device did not take")                                 \
	X(drop_tap_in, "frames", "not for tas, and not taken by the exception tap: down, or too many at once")  \
	X(drop_no_frame_memory, "segments", "no memory to hand a segment on to the core that has its connection")      \
	X(drop_missed, "frames", "by the port, which had no room: the cores did not read fast enough")                 \
	X(drop_passed, "descriptors", "passed by programs of a user of whom too many do not close")                    \
	X(refuse_peer, "programs", "registration refused by policy")                                                   \
	X(refuse_abi, "programs", "registration with another ABI")                                                     \
	X(refuse_msg, "messages", "malformed command")                                                                 \
	X(refuse_limit, "messages", "command over a limit of the program")                                             \
	X(refuse_addr, "messages", "bind, listen or connect where tas does not serve: address, or one device alone")    \
	X(refuse_handle, "messages", "kernel socket missing or not what it should be")                                 \
	X(refuse_join, "messages", "inherited listener that is not known here: made before this service started")      \
	X(refuse_ctl, "requests", "malformed tasctl request")

#define TAS_COUNTER_FIELD(name, unit, help) uint64_t name;

struct tas_fp_counters {
	TAS_FP_COUNTERS(TAS_COUNTER_FIELD)
};

struct tas_sp_counters {
	TAS_SP_COUNTERS(TAS_COUNTER_FIELD)
};

#endif
