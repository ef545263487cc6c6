/*
 * ctl_fake.h - the control server over invented records: what slowpath/ctl reads of the slow path,
 * with the loop turned by hand.
 */
#ifndef TEST_CTL_FAKE_H
#define TEST_CTL_FAKE_H

#include <stdint.h>

/* A service with ncores cores, nflows connections of 4 programs, ntw TIME-WAIT records, nlisteners
 * listeners. */
int fake_start(
	const char *path, uint32_t ncores, uint32_t nflows, uint32_t ntw, uint32_t nlisteners);
void fake_stop(void);
/* Waits up to timeout_ms for a descriptor of the loop and serves those ready. Number served. */
int fake_turn(int timeout_ms);

uint64_t fake_refused(void);
uint64_t fake_requests(void);
uint32_t fake_clients(void);
uint32_t fake_rests(void);  /* times the door was given a rest */
uint32_t fake_killed(void); /* flow id of the last sp_conn_abort */
int fake_drained(void);
uint32_t fake_looked_max(void); /* most connection records looked at by one request */
void fake_advance(uint64_t ns); /* time passes and every growing figure grows */
void fake_set_state(uint32_t id, uint32_t fp_flags);
void fake_clear_reasons(void);	      /* nothing was dropped or refused */
void fake_set_comm(const char *comm); /* name of all programs */
/* What program `app` (1 to 4; 4 has no memory yet) says it counted. */
void fake_explain(uint32_t app, uint32_t row, uint64_t value);
void fake_free_flow(uint32_t id);
uint32_t fake_flow_gen(uint32_t id);
/* fp_flow.flags for fake_set_state */
extern const uint32_t fake_rx_fin, fake_tx_shut, fake_tx_finack;

#endif
