/*
 * libFuzzer target: wire_parse, wire_icmp_parse and wire_arp_parse on any bytes. The first four
 * bytes choose the GSO size and whether the device vouches for the checksum; checksums of IP are
 * made right so that the parser is entered deeply.
 */
#include <cstring>
#include <memory>
#include "tcp_c.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_icmp icmp;
	struct wire_arp arp;
	struct seg s;

	if (size < 4 || size > 70000)
		return 0;
	size_t n = size - 4;
	std::unique_ptr<uint8_t[]> f(new uint8_t[n]);
	memcpy(f.get(), data + 4, n);
	if (data[0] & 1 && n >= 34 && (f[14] & 15) >= 5 && n >= 14 + (f[14] & 15) * 4u) {
		uint32_t ihl = (f[14] & 15) * 4u;
		uint16_t cs = 0;

		memcpy(&f[24], &cs, 2);
		cs = wire_csum_fold(wire_csum_add(0, &f[14], ihl));
		memcpy(&f[24], &cs, 2);
	}
	uint16_t gso = (uint16_t)(data[0] & 2 ? data[2] << 8 | data[3] : 0);
	if (wire_parse(f.get(), (uint32_t)n, gso, data[1] & 1, &s) == WIRE_TCP) {
		if (s.payload < f.get() || s.payload + s.len > f.get() + n || s.nsegs == 0 ||
			(s.len != 0 && s.nsegs > s.len) || s.nsack > SEG_MAX_SACK)
			__builtin_trap();
	}
	if (wire_icmp_parse(f.get(), (uint32_t)n, &icmp) == 0 &&
		(icmp.body < f.get() || icmp.body + icmp.body_len > f.get() + n))
		__builtin_trap();
	wire_arp_parse(f.get(), (uint32_t)n, &arp);
	return 0;
}
