/*
 * cold.h - TCP's state of a flow beside the two hot lines of fp_flow: timers, loss recovery,
 * out-of-order intervals, window tuning, statistics. The first line is touched by most segments,
 * the rest by exceptions.
 *
 * Owner: the flow's core; written by fastpath/tcp only.
 */
#ifndef FP_TCP_COLD_H
#define FP_TCP_COLD_H

#include <stdint.h>
#include "tas/cc.h"

#define TCP_OOO_MAX  16 /* out-of-order intervals kept per flow */
#define TCP_POS_NONE UINT64_MAX

#define TCP_NO_LINGER2 UINT8_MAX /* tcp_cold.linger2_s: not even FIN-WAIT-2 is waited for */
#define TCP_AGE_SHIFT  20

struct tcp_interval {
	uint64_t start, end; /* stream positions, end exclusive */
};

/* Which deadline timer_at_us stands for; the RTO has its own (rto_at_us). */
enum tcp_timer { TCP_TIMER_NONE, TCP_TIMER_TLP, TCP_TIMER_REO, TCP_TIMER_PERSIST };

/* tcp_cold.urg: the one urgent byte that is kept (RFC 6093 section 3.4). */
enum tcp_urg {
	TCP_URG_NONE,
	TCP_URG_NOTYET, /* announced */
	TCP_URG_VALID,	/* here */
	TCP_URG_READ,	/* taken out of line; still the mark in the stream */
};

/* tcp_cold.run: which of the rarer clocks are running. */
#define TCP_RUN_RTO	  0x01u
#define TCP_RUN_CORK	  0x02u
#define TCP_RUN_KEEPALIVE 0x04u
#define TCP_RUN_USER	  0x08u /* user timeout is set */
#define TCP_RUN_FINWAIT	  0x10u /* FIN-WAIT-2 of a closed socket */

/* tcp_cold.probe: what tcp_tx_next shall send out of turn. */
enum tcp_probe {
	TCP_PROBE_NONE,
	TCP_PROBE_TLP,
	TCP_PROBE_URGENT, /* the urgent pointer past a closed window; TCP_PROBE_WINDOW follows */
	TCP_PROBE_WINDOW,
	TCP_PROBE_ALIVE
};

struct tcp_cold {
	/* Line 0: most segments. */
	uint64_t rx_acked;			    /* RCV.NXT of the last segment sent */
	uint64_t heard_ns;			    /* when the peer was last heard */
	uint32_t rto_at_us, timer_at_us, ack_at_us; /* deadlines, 32-bit us clock */
	uint8_t timer;				    /* enum tcp_timer */
	uint8_t run;				    /* TCP_RUN_* */
	uint8_t nooo;
	uint8_t quickack; /* segments still acknowledged at once (start of a connection) */
	uint32_t sent_head, sent_tail; /* sent map, ordered by position; 0 = none */
	uint32_t snd_wl1;	       /* SND.WL1 */
	uint32_t max_snd_wnd;
	uint32_t rcv_mss;    /* largest segment received: the peer's idea of full-sized */
	uint32_t lost_bytes; /* marked lost, not retransmitted since */
	uint32_t sacked_bytes;
	uint32_t ts_recent_age; /* now_ns >> 30 when ts_recent was taken */

	/* Line 1: acknowledgements. */
	uint64_t tx_sml;    /* end of the last segment sent that was smaller than MSS (Minshall) */
	uint64_t delivered; /* bytes the peer has reported in all */
	uint64_t round_end; /* cwnd validation: the round ends when this is acknowledged */
	uint32_t delivered_us,
		first_tx_us; /* delivery rate: draft-cheng-iccrg-delivery-rate-estimation */
	uint32_t rttvar_us, rto_us, min_rtt_us, last_rtt_us;
	uint32_t snd_buf;	  /* send buffer now, bytes (grows only) */
	uint32_t max_flight;	  /* largest pipe in this round */
	uint8_t backoff;	  /* RTO or persist doublings */
	uint8_t limited;	  /* bit 0: cwnd was the limit in this round, bit 1: in the last */
	uint8_t ce_last, ce_seen; /* last data was CE-marked; to be echoed */

	/* Congestion. cc.ssthresh is the value in force. */
	struct cc_params cc;
	struct {
		uint64_t acked, marked;
		uint32_t lost, events;
	} fb;			      /* counts since fb_start_ns */
	uint64_t fb_start_ns;	      /* the interval being gathered began here */
	uint64_t rate_bytes, rate_us; /* best delivery-rate sample of the interval */
	uint64_t cwnd_acc;	      /* congestion avoidance: bytes acknowledged times growth */
	uint64_t cwr_end;	      /* react to ECE again when this is acknowledged */
	uint8_t cwr_due;

	/* Loss recovery. */
	uint8_t dupacks, frto, probe; /* without SACK; F-RTO step; enum tcp_probe */
	uint32_t nsent;		      /* nodes in the sent map */
	uint64_t recover;	      /* recovery ends when this is acknowledged */
	uint64_t rack_end;  /* end of the newest delivered segment (its time: fp_flow.rack_us) */
	uint64_t fack;	    /* highest position delivered */
	uint64_t tlp_end;   /* TCP_POS_NONE: no tail loss probe is out */
	uint64_t blind_pos; /* last position retransmitted without a map node */
	uint64_t dsack_round;
	uint32_t rack_rtt_us;
	uint32_t undo_cwnd, undo_ssthresh;
	uint32_t prr_delivered, prr_out, recover_fs;
	uint32_t dup_bytes;  /* without SACK: bytes that duplicate ACKs say have left */
	uint32_t last_tx_us; /* when data was last sent */
	uint8_t rack_valid, reordered, reo_mult, reo_persist;
	uint8_t tlp_retrans, recover_hold, push, rcv_fixed;
	uint8_t snd_fixed, probes_out, ka_probes, ka_count;
	uint32_t cork_at_us;

	/* Receive. */
	uint64_t rx_fin_pos;	   /* position of a FIN received out of order, TCP_POS_NONE none */
	struct tcp_interval dsack; /* to be reported once; end 0 = none */
	struct tcp_interval ooo[TCP_OOO_MAX]; /* most recent first */
	uint64_t drs_read; /* receive buffer tuning: rx_read when the round began */
	uint32_t drs_at_us;

	/* Urgent data (urgent.c). */
	uint8_t urg;	   /* enum tcp_urg; not TCP_URG_NONE while FP_F_RX_URG is set */
	uint8_t urg_byte;  /* with TCP_URG_VALID */
	uint16_t urg_hole; /* bytes that a reader at position urg_from leaves out, below 65,536 */
	uint64_t rx_urg;   /* position of the urgent byte: the mark */
	uint64_t urg_from;
	uint64_t tx_up; /* SND.UP: position after the last urgent byte; with FP_F_TX_URG */

	/* Slow timers. */
	uint32_t ts_offset;
	uint64_t progress_ns; /* SND.UNA moved, or data became outstanding */
	uint64_t ka_at_ns, finwait_ns;
	uint32_t user_timeout_ms;
	uint16_t keepidle_s, keepintvl_s;
	uint32_t rcv_clamp;	/* TCP_WINDOW_CLAMP, 0 = none */
	uint32_t notsent_lowat; /* TCP_NOTSENT_LOWAT, 0 = none */
	uint32_t pace_max_kbps; /* SO_MAX_PACING_RATE, 0 = none */
	uint8_t linger2_s;	/* TCP_LINGER2, 0 = not set */
	uint8_t quick_said;	/* TCP_QUICKACK as last heard from the program, low byte */
	uint64_t tx_limit_min;	/* send position already promised to the program */

	/* Statistics for tasctl and TCP_INFO. */
	uint64_t bytes_in, bytes_out, segs_in, segs_out;
	uint32_t retrans, ooo_in, dup_in;
	uint32_t data_segs_in, data_segs_out;
	uint32_t sent_age,
		got_age;    /* when data was last sent and received: now_ns >> TCP_AGE_SHIFT */
	uint32_t rate_kbps; /* last sample of the delivery rate */
};

_Static_assert(sizeof(struct tcp_cold) <= 768, "with the engine's part the record is 1 KiB");

#endif
