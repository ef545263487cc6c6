/*
 * pcap.h - capture files for DPDK's net_pcap: frames of the given lengths, all octets 2.
 */
#ifndef TESTS_LIB_PCAP_H
#define TESTS_LIB_PCAP_H

#include <cstdint>
#include <cstdio>
#include <vector>

struct PcapFile { /* draft-ietf-opsawg-pcap */
	uint32_t magic = 0xa1b2c3d4;
	uint16_t major = 2, minor = 4;
	uint32_t zone = 0, accuracy = 0, snaplen = 65535, ethernet = 1;
};

struct PcapFrame {
	uint32_t seconds, micros, captured, length;
};

inline bool pcap_write(const char *path, const std::vector<uint32_t> &lengths)
{
	FILE *f = fopen(path, "w");
	PcapFile head;
	bool ok = f != nullptr && fwrite(&head, sizeof(head), 1, f) == 1;

	for (uint32_t len : lengths) {
		PcapFrame h = {0, 0, len, len};
		std::vector<uint8_t> frame(len, 2);

		ok = ok && fwrite(&h, sizeof(h), 1, f) == 1 && fwrite(frame.data(), len, 1, f) == 1;
	}
	return f != nullptr && fclose(f) == 0 && ok;
}

#endif
