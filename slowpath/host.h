/*
 * host.h - what the machine must have, and must not have, for the daemon to start with these
 * options. Each: 0, or -errno with one sentence logged. Owner: slow path thread, at start.
 */
#ifndef SP_HOST_H
#define SP_HOST_H

#include "config.h"

/* No other daemon answers on our sockets; what a killed one left is removed. Their group exists. */
int sp_host_alone(const struct sp_config *conf);
/* Our ports are none that the kernel gives out by itself. */
int sp_host_ports(const struct sp_config *conf);
/* The kernel has none of the addresses to be served, nor tap_address elsewhere: they would be answered twice. */
int sp_host_addresses(const struct sp_config *conf);
/* Threads can run on the CPUs wanted: else they would run anywhere, unnoticed. */
int sp_host_cpus(const struct sp_config *conf);

/* The same for whoever prints it, tas -n: 0, or -errno with the sentence in err. */
int sp_host_taken(const struct sp_config *conf, char *err, uint32_t err_len);
/* The kernel leaves the port's frames alone, where it has the addresses by the exception tap. */
int sp_host_seen(const struct sp_config *conf, char *err, uint32_t err_len);
/* A PCI device that is to be the port is there. */
int sp_host_device(const struct sp_config *conf, char *err, uint32_t err_len);
/* 1 with a sentence in err when tas would start and the kernel's side could not reach it. */
int sp_host_unreached(const struct sp_config *conf, char *err, uint32_t err_len);

#endif
