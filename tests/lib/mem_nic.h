/*
 * mem_nic.h - a NIC port in memory: tests put frames in and take frames out. Frames sent are kept
 * whole (headers and payload copied at nic_tx, with TCP checksums completed); descriptors become
 * readable as a device's do. Any thread may put and take.
 */
#ifndef TESTS_LIB_MEM_NIC_H
#define TESTS_LIB_MEM_NIC_H

#include "nic/nic.h"

#ifdef __cplusplus
extern "C" {
#endif

/* MAC of the port: 02:02:02:02:02:02. `large`: TSO and checksum offload as the tap has them. NULL =
 * no memory. */
struct nic *mem_nic_open(uint32_t nqueues, int large);

/* A frame arrives on `queue`; the bytes are copied to a block of exactly their size. */
void mem_nic_put(struct nic *n, uint32_t queue, const uint8_t *frame, uint32_t len,
	uint16_t gso_size, uint16_t flags);
/* The oldest frame sent on any queue: its length and *gso_size, or 0 when there is none. `buf`
 * holds 65,700 bytes. */
uint32_t mem_nic_take(struct nic *n, uint8_t *buf, uint16_t *gso_size);
/* Frames sent and not taken. */
uint32_t mem_nic_sent(struct nic *n);
/* From now on: the transmit queue takes this many frames and is full then (-1 = never). */
void mem_nic_limit(struct nic *n, int frames);
/* The next nic_rx finds so many frames that it cannot hand over. */
void mem_nic_lose(struct nic *n, uint32_t frames);
/* nic_rx fails from now on, as when the device is gone. */
void mem_nic_kill(struct nic *n);

#ifdef __cplusplus
}
#endif

#endif
