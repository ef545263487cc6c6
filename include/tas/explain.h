/*
 * explain.h - why a program's sockets are not, or not wholly, served by tas: one counter per fallback to the
 * kernel and per option or flag without effect, X(name, unit, help).
 *
 * libtas counts where it happens, in an array at off_explain of its control segment (region.h); a process that
 * has no region keeps them to itself. The place of a row is part of the ABI: new rows go to the end. The
 * daemon reads the array as numbers to show, nothing else: the program may write there what it likes.
 * The same rows make `tasctl app`, `tas-run --explain`, JSON and the manual page. Owner: none (values).
 */
#ifndef TAS_EXPLAIN_H
#define TAS_EXPLAIN_H

#include <assert.h>
#include <stdint.h>

/* Words that a daemon makes room for: a page. */
#define TAS_EXPLAIN_MAX 512u

#define TAS_EXPLAIN_ROWS(X)                                                                                            \
	X(kernel_no_service, "sockets", "TCP sockets made, or connected, while no service answered")                   \
	X(kernel_refused, "sockets", "TCP sockets made by a program that the service does not take")                   \
	X(kernel_not_tcp, "sockets", "internet sockets of another kind than TCP")                                      \
	X(kernel_no_room, "sockets", "TCP sockets beyond what libtas can keep track of")                               \
	X(kernel_no_region, "calls", "bind, connect or listen without shared memory from the service")                 \
	X(kernel_loopback, "connects", "connections to a loopback address")                                            \
	X(kernel_ipv6, "connects", "connections to an IPv6 address: not served yet")                                   \
	X(kernel_served, "connects", "connections to an address that tas shares with the kernel, whose programs serve the port") \
	X(kernel_no_route, "connects", "connections to an address that no route of tas leads to")                      \
	X(kernel_own_address, "connects", "connections to an address of this host's kernel")                           \
	X(kernel_connect_refused, "connects", "connections that the service left to the kernel (see its log)")         \
	X(kernel_listen_address, "listeners", "listeners on an address that tas does not serve")                       \
	X(kernel_listen_ipv6, "listeners", "listeners for IPv6 only: not served yet")                                  \
	X(kernel_listen_refused, "listeners", "wildcard listeners that the service did not take: a limit, or a drain") \
	X(kernel_inherit, "listeners", "inherited listeners that the service did not give to this process")            \
	X(dual_listen, "listeners", "wildcard listeners that serve in both stacks")                                    \
	X(dual_accept, "connections", "connections accepted from the kernel's half of a listener")                     \
	X(refuse_connect, "connects", "connect() that failed because the service refused it")                          \
	X(refuse_listen, "listeners", "listen() that failed because the service refused it")                           \
	X(no_slot, "times", "all socket slots in use (program_slots)")                                                 \
	X(no_memory, "times", "all payload memory in use (program_memory_max)")                                        \
	X(queue_shared, "instances", "epoll instances that share an event queue (event_queues)")                       \
	X(fork_dropped, "connections", "connections that could not be inherited at fork(): still connecting")          \
	X(service_lost, "connections", "connections that failed because the service ended")                            \
	X(refuse_sendfile, "calls", "sendfile() refused: the source is no file that can be read at an offset")         \
	X(refuse_splice, "calls", "splice() refused: no pipe of its own could be had")                               \
	X(refuse_oob, "calls", "send with MSG_OOB refused: the service is too old for urgent data")                    \
	X(flag_zerocopy, "calls", "MSG_ZEROCOPY: the data was copied all the same")                                    \
	X(flag_errqueue, "calls", "MSG_ERRQUEUE: nothing was in it; neither time stamps nor ICMP errors ever are")     \
	X(flag_control, "calls", "control data of sendmsg() refused: time stamps, a mark or priority of one packet")   \
	X(option_ulp, "options", "TCP_ULP or SOL_TLS: TLS stays in the program")                                       \
	X(option_cc, "options", "TCP_CONGESTION with an algorithm that tas lacks")                                      \
	X(option_fastopen, "options", "TCP Fast Open: as with a peer that gives no cookie")                                                  \
	X(option_defer, "options", "not counted any more: TCP_DEFER_ACCEPT takes effect")                                \
	X(option_quickack, "options", "not counted any more: TCP_QUICKACK takes effect")                                                   \
	X(option_tcp, "options", "other TCP options, refused")                                                   \
	X(option_ip, "options", "IP options, refused, and IPv6 options, without effect")                                                  \
	X(option_device, "options", "SO_MARK, SO_PRIORITY: nothing here acts on them; SO_BINDTODEVICE refused")                            \
	X(option_filter, "options", "socket filters, refused")                                                   \
	X(option_timestamp, "options", "SO_TIMESTAMP and SO_TIMESTAMPING, refused")                              \
	X(option_zerocopy, "options", "SO_ZEROCOPY: data is copied, and completions say so")                                                    \
	X(option_socket, "options", "other socket options, refused or (SO_BUSY_POLL ...) without effect")                                             \
	X(option_read, "options", "TCP options read that describe the kernel's socket, not the connection")            \
	X(ioctl_kernel, "calls", "ioctl() that only the kernel's socket answered")                                     \
	X(kernel_listen_device, "listeners", "listeners bound to a device (SO_BINDTODEVICE): not served")       \
	X(uring, "rings", "io_uring instances: what a ring does with sockets is the kernel's")                         \
	X(trap_option, "options", "tas-run --trap: options that are not relayed, refused")                             \
	X(trap_reset, "connections", "tas-run --trap: resets shown as an end of file, the descriptor had moved")       \
	X(trap_unreachable, "calls", "tas-run --trap: calls of processes that may not be looked into")                 \
	X(kernel_uring, "sockets", "TCP sockets made, connected or listening when the program had an io_uring")                \
	X(refuse_pass, "descriptors", "not passed by sendmsg(): still connecting, an epoll set, or to a program without libtas") \
	X(left_behind, "programs", "started with descriptors of tas, which libtas cannot be loaded into") \
	X(kernel_option, "sockets", "sockets left to the kernel for an option that only it has (filter, time stamps, device, ...)")

enum tas_explain {
#define TAS_EXPLAIN_ENUM(name, unit, help) TAS_X_##name,
	TAS_EXPLAIN_ROWS(TAS_EXPLAIN_ENUM)
#undef TAS_EXPLAIN_ENUM
		TAS_X_COUNT
};

static_assert((unsigned)TAS_X_COUNT <= TAS_EXPLAIN_MAX, "fits what the daemon makes room for");

#endif
