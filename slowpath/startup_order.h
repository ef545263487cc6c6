/*
 * startup_order.h - what the daemon does to start, in order: X(step, reason). The end is the same
 * list backwards.
 *
 * Each step is `int start_<step>(struct sp *)`, 0 or -errno with one sentence logged, and `void
 * stop_<step>(struct sp *)`. Owner: slow path thread.
 */
#ifndef SP_STARTUP_ORDER_H
#define SP_STARTUP_ORDER_H

#define SP_STARTUP(X)                                                                              \
	X(limits, "descriptors for many programs, before anything opens one")                      \
	X(signals, "blocked before threads exist, so that they all inherit it")                    \
	X(identity, "boot id, clock and namespace: everything below compares with them")           \
	X(alone, "a second daemon must be refused before it touches the port")                     \
	X(ports, "a wrong port range must be refused before anybody connects")                     \
	X(addresses, "an address that the kernel has, too, would be answered twice")               \
	X(loop, "others add their descriptors to it")                                              \
	X(conns, "tables and secrets, which neighbours hash with")                                 \
	X(nic, "its MAC, MTU and offloads shape everything after it")                              \
	X(tap, "the kernel's side needs the device")                                               \
	X(cores, "tables of the fast path, for the addresses served")                              \
	X(net, "neighbours are written into the fast path's table")                                \
	X(exception, "the kernel's way to the port, with its MAC; before frames for it arrive")    \
	X(sigbus, "from here on memory may be shared with programs")                               \
	X(threads, "cores run before a program can be told of them")                               \
	X(announce, "the network may know our MAC as soon as frames are answered")                 \
	X(ctl, "an operator can look before the first program comes")                              \
	X(apps, "programs come last: all that they use is there")                                  \
	X(privileges, "nothing below needs them")                                                  \
	X(ready, "said when it is true")

#endif
