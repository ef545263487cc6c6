/*
 * layout_test.cc - the shared memory of ABI 1, number by number: what an older library or daemon
 * relies on. Compiles as C++17, as the headers promise. Whoever changes a line here breaks a program
 * that is running.
 */
#include <cstddef>
#include <gtest/gtest.h>
#include "tas/app_sp.h"
#include "tas/explain.h"
#include "tas/region.h"

#define AT(type, field, offset) EXPECT_EQ(offsetof(type, field), (size_t)(offset)) << #field

TEST(Layout, version)
{
	EXPECT_EQ(TAS_ABI_MAJOR, 1);
	EXPECT_EQ(TAS_ABI_MINOR, 3);
}

TEST(Layout, region_header)
{
	EXPECT_EQ(sizeof(tas_region), 256u);
	AT(tas_region, magic, 0);
	AT(tas_region, abi_major, 4);
	AT(tas_region, features, 8);
	AT(tas_region, bytes, 16);
	AT(tas_region, app, 24);
	AT(tas_region, nslots, 28);
	AT(tas_region, ncores, 32);
	AT(tas_region, nevq, 36);
	AT(tas_region, nsegs_max, 40);
	AT(tas_region, off_slots, 48);
	AT(tas_region, off_tobells, 56);
	AT(tas_region, off_evqs, 64);
	AT(tas_region, off_rxnext, 72);
	AT(tas_region, off_txnext, 80);
	AT(tas_region, off_offer, 88);
	AT(tas_region, bell_bytes, 96);
	AT(tas_region, off_explain, 104); /* ABI 1.1; zero before */
	AT(tas_region, nexplain, 112);
	AT(tas_region, zero, 120);
	AT(tas_region, rx_wanted, 192);
	AT(tas_region, rx_offered, 196);
}

TEST(Layout, slot)
{
	EXPECT_EQ(sizeof(tas_sock), 256u);
	AT(tas_sock, rx_head, 0);
	AT(tas_sock, rx_first_chunk, 16);
	AT(tas_sock, state, 20);
	AT(tas_sock, tx_una, 24);
	AT(tas_sock, tx_limit, 32);
	AT(tas_sock, error, 40);
	AT(tas_sock, gen, 44);
	AT(tas_sock, core, 48);
	AT(tas_sock, rx_full, 50);
	AT(tas_sock, rx_urged, 51);
	AT(tas_sock, flow, 52);
	AT(tas_sock, rx_kept, 56);
	AT(tas_sock, rx_tail, 64);
	AT(tas_sock, tx_head, 72);
	AT(tas_sock, tx_first_pos, 80);
	AT(tas_sock, tx_first_chunk, 88);
	AT(tas_sock, want, 92);
	AT(tas_sock, take_flow, 96);
	AT(tas_sock, evq, 104);
	AT(tas_sock, tx_wait, 108);
	AT(tas_sock, quickack, 112); /* ABI 1.2; zero before */
	AT(tas_sock, tx_nxt, 244);   /* ABI 1.2 */
	AT(tas_sock, urgent, 116);   /* ABI 1.3, as rx_urged and the next four */
	AT(tas_sock, rx_lock, 128);
	AT(tas_sock, tx_up, 160);
	AT(tas_sock, rx_taken, 168);
	AT(tas_sock, rx_hole, 176);
	AT(tas_sock, rx_urg, 184);
	AT(tas_sock, wake, 192);
	AT(tas_sock, laddr, 200);
	AT(tas_sock, lport, 232);
	AT(tas_sock, mss, 236);
	AT(tas_sock, srtt_us, 240);
}

TEST(Layout, info_page)
{
	AT(tas_info, magic, 0);
	AT(tas_info, boot_id, 8);
	AT(tas_info, epoch, 24);
	AT(tas_info, heartbeat, 32);
	AT(tas_info, tsc_hz, 40);
	AT(tas_info, ncores, 48);
	AT(tas_info, version, 60);
	AT(tas_info, policy, 64);
	AT(tas_info, addrs, 72);
	AT(tas_info, routes, 72 + 20 * TAS_INFO_ADDRS);
	AT(tas_info, core, 3328);
	AT(tas_info_core, sleeping, 0);
	AT(tas_info_core, cpu, 4);
	AT(tas_info_core, sleeps, 8);
}

TEST(Layout, listener)
{
	AT(tas_listen, tail, 64);
	AT(tas_listen, head, 128);
	AT(tas_listen, holders, 192);
	AT(tas_listen, queue, 192 + 16 * TAS_LISTEN_HOLDERS);
	EXPECT_EQ(sizeof(tas_accept), 64u);
	AT(tas_accept, flow, 8);
	AT(tas_accept, core, 16);
	AT(tas_accept, laddr, 24);
}

TEST(Layout, command)
{
	EXPECT_EQ(sizeof(tas_msg), 184u);
	AT(tas_msg, type, 4);
	AT(tas_msg, status, 8);
	AT(tas_msg, id, 16);
	AT(tas_msg, len, 24);
	AT(tas_msg, token, 40);
	AT(tas_msg, laddr, 64);
	AT(tas_msg, lport, 96);
	AT(tas_msg, opts, 104);
	EXPECT_EQ(TAS_CMD_CLAIM, 15);
	EXPECT_EQ(TAS_CMD_PASS, 18);
	EXPECT_EQ(TAS_CMD_COUNT, 21);
}

/* A row keeps its place: the library and the daemon may be of different versions. */
TEST(Layout, explain_rows)
{
	EXPECT_EQ(TAS_X_kernel_no_service, 0);
	EXPECT_EQ(TAS_X_kernel_not_tcp, 2);
	EXPECT_EQ(TAS_X_kernel_loopback, 5);
	EXPECT_EQ(TAS_X_kernel_inherit, 14);
	EXPECT_EQ(TAS_X_dual_listen, 15);
	EXPECT_EQ(TAS_X_no_slot, 19);
	EXPECT_EQ(TAS_X_service_lost, 23);
	EXPECT_EQ(TAS_X_refuse_sendfile, 24);
	EXPECT_EQ(TAS_X_option_ulp, 30);
	EXPECT_EQ(TAS_X_ioctl_kernel, 43);
	EXPECT_LE((unsigned)TAS_X_COUNT, TAS_EXPLAIN_MAX);
}
