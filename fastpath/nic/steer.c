/*
 * steer.c - which flow group a segment belongs to: the same answer as the device's steering gives.
 *
 * For the tap the hash is a keyed multiplication that an eBPF program computes too (tap_steer.c);
 * the key is random, so that nobody outside can aim many flows at one group. NICs compute the
 * Toeplitz hash (Microsoft, "RSS hashing types") with a random key that we set. Pure after
 * nic_steer_init.
 */
#include <endian.h>
#include <string.h>
#include <sys/random.h>
#include "port.h"
#include "tas/tuple.h"

void nic_steer_init(struct nic_steer *s)
{
	memset(s, 0, sizeof(*s));
	if (getrandom(s->key, sizeof(s->key), 0) != sizeof(s->key) ||
		getrandom(s->rss_key, sizeof(s->rss_key), 0) != sizeof(s->rss_key)) {
		/* Only before the kernel's generator is ready: balance matters, secrecy does not.
		 */
		s->key[0] = 0x9e3779b97f4a7c15ull;
	}
	s->key[1] |= 1;
	s->key[2] |= 1;
}

/* tap_steer.c holds the same in eBPF: change both. */
uint32_t nic_steer_group4(
	const struct nic_steer *s, uint32_t raddr, uint32_t laddr, uint16_t rport, uint16_t lport)
{
	uint64_t x = ((uint64_t)raddr << 32 | laddr) ^ s->key[0];

	x *= s->key[1];
	x ^= x >> 32;
	x ^= (uint32_t)rport << 16 | lport;
	x *= s->key[2];
	x ^= x >> 29;
	x *= s->key[1];
	return (uint32_t)(x >> 57);
}

_Static_assert(NIC_GROUPS == 128, "the group is the top seven bits of the hash");

uint32_t nic_toeplitz4(
	const uint8_t *key, uint32_t saddr, uint32_t daddr, uint16_t sport, uint16_t dport)
{
	uint64_t words[2] = {
		(uint64_t)saddr << 32 | daddr, (uint64_t)sport << 48 | (uint64_t)dport << 32};
	uint32_t hash = 0, bit;

	for (bit = 0; bit < 96; bit++) {
		uint64_t window;

		if (!(words[bit / 64] >> (63 - bit % 64) & 1))
			continue;
		memcpy(&window, key + bit / 8, sizeof(window));
		hash ^= (uint32_t)(be64toh(window) << (bit % 8) >> 32);
	}
	return hash;
}

/* An IPv6 address as a number of 32 bits: both halves take part. */
static uint32_t fold6(const uint8_t addr[16])
{
	uint32_t w[4];

	memcpy(w, addr, sizeof(w));
	return w[0] * 0x9e3779b1u ^ w[1] * 0x85ebca6bu ^ w[2] * 0xc2b2ae35u ^ w[3];
}

uint32_t nic_group(const struct nic *n, const uint8_t laddr[16], const uint8_t raddr[16],
	uint16_t lport, uint16_t rport, uint32_t hash)
{
	const struct nic_steer *s = &n->steer;
	uint16_t l = be16toh(lport), r = be16toh(rport);

	if (!tas_addr_is_v4(laddr))
		return nic_steer_group4(s, fold6(raddr), fold6(laddr), r, l);
	if (!s->toeplitz)
		return nic_steer_group4(
			s, be32toh(tas_addr_v4(raddr)), be32toh(tas_addr_v4(laddr)), r, l);
	if (hash == 0)
		hash = nic_toeplitz4(
			s->rss_key, be32toh(tas_addr_v4(raddr)), be32toh(tas_addr_v4(laddr)), r, l);
	return hash % NIC_GROUPS;
}
