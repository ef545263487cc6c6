/*
 * units.c - numbers, times, addresses and foreign text for people.
 */
#include "units.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "tas/tuple.h"

/* Three significant digits of v, then the suffix. */
static void three_digits(char *out, double v, const char *suffix)
{
	int decimals = v == 0 ? 0 : v < 10 ? 2 : v < 100 ? 1 : 0;

	snprintf(out, UNITS_MAX, "%.*f%s", decimals, v, suffix);
}

/* The largest of `suffix` (from `first`, in steps of `base`) that keeps v at least 1. */
static void scaled(char *out, double v, double base, const char *const *suffix, int n)
{
	int i = 0;

	while (v >= base - base / 2000 && i + 1 < n) {
		v /= base;
		i++;
	}
	three_digits(out, v, suffix[i]);
}

void units_bytes(char *out, double bytes)
{
	static const char *const suffix[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

	if (bytes < 1023.5)
		snprintf(out, UNITS_MAX, "%.0fB", bytes);
	else
		scaled(out, bytes, 1024, suffix, 7);
}

void units_count(char *out, double n)
{
	static const char *const suffix[] = {"", "k", "M", "G", "T", "P", "E"};

	if (n < 9999.5)
		snprintf(out, UNITS_MAX, "%.0f", n);
	else
		scaled(out, n, 1000, suffix, 7);
}

void units_kbps(char *out, double kbps)
{
	static const char *const suffix[] = {"kb/s", "Mb/s", "Gb/s", "Tb/s"};

	scaled(out, kbps, 1000, suffix, 4);
}

void units_us(char *out, double us)
{
	static const char *const suffix[] = {"us", "ms", "s"};

	if (us < 999.5)
		snprintf(out, UNITS_MAX, "%.0fus", us);
	else
		scaled(out, us, 1000, suffix, 3);
}

void units_age(char *out, uint64_t ns)
{
	unsigned long long s = ns / 1000000000;

	if (s < 60)
		snprintf(out, UNITS_MAX, "%llus", s);
	else if (s < 3600)
		snprintf(out, UNITS_MAX, "%llum%llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, UNITS_MAX, "%lluh%llum", s / 3600, s / 60 % 60);
	else
		snprintf(out, UNITS_MAX, "%llud%lluh", s / 86400, s / 3600 % 24);
}

void units_share(char *out, double share)
{
	snprintf(out, UNITS_MAX, "%.1f%%", share * 100);
}

void units_addr(char *out, const uint8_t addr[16])
{
	static const uint8_t any[16];

	if (memcmp(addr, any, 16) == 0)
		strcpy(out, "*");
	else if (tas_addr_is_v4(addr))
		inet_ntop(AF_INET, addr + 12, out, UNITS_MAX);
	else
		inet_ntop(AF_INET6, addr, out, UNITS_MAX);
}

void units_endpoint(char *out, const uint8_t addr[16], uint16_t port)
{
	char text[UNITS_MAX];

	units_addr(text, addr);
	snprintf(out, UNITS_MAX, strchr(text, ':') != NULL ? "[%.60s]:%u" : "%.60s:%u", text,
		(unsigned)ntohs(port));
}

void units_flow(char *out, uint32_t id, uint32_t gen)
{
	if (id == 0)
		strcpy(out, "-");
	else
		snprintf(out, UNITS_MAX, "%u.%u", id, gen);
}

void units_text(char *out, const char *text, uint32_t size)
{
	uint32_t i;

	for (i = 0; i < size && i < UNITS_MAX - 1 && text[i] != 0; i++)
		out[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
	out[i] = 0;
}
