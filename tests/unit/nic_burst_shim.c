/*
 * A driver that receives by vectors in place of the device's own: asked for fewer frames than fit
 * into a vector it gives none, and never a part of one unless there are no more. DPDK 22.11, "Intel
 * ixgbe driver", "Vector PMD for ixgbe": nb_pkts is rounded down.
 */
#include <rte_ethdev.h>

#define VECTOR 8u

void nic_burst_replace(void);

static eth_rx_burst_t real;

static uint16_t by_vectors(void *queue, struct rte_mbuf **m, uint16_t count)
{
	count = (uint16_t)(count / VECTOR * VECTOR);
	return count == 0 ? 0 : real(queue, m, count);
}

void nic_burst_replace(void)
{
	real = rte_eth_fp_ops[0].rx_pkt_burst;
	rte_eth_fp_ops[0].rx_pkt_burst = by_vectors;
}
