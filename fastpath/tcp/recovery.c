/*
 * recovery.c - fast recovery, timeouts, and taking a spurious timeout back.
 *
 * Two states: FP_F_RECOVERY (loss was detected by ACKs; the window follows PRR) and FP_F_LOSS
 * (after an RTO; slow start from one segment). Both end when `recover`, SND.NXT at their beginning,
 * is acknowledged.
 *
 * Owner: the flow's core. RFC 6675, 6937 (PRR), 6582 (NewReno, without SACK), 5682 (F-RTO), 6298
 * section 5.
 */
#include "priv.h"

void tcp_recovery_enter(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env)
{
	f->flags |= FP_F_RECOVERY;
	c->recover = f->tx_nxt;
	c->recover_fs = (uint32_t)min_u64(f->tx_nxt - f->tx_una, UINT32_MAX);
	c->prr_delivered = 0;
	c->prr_out = 0;
	c->cc.ssthresh = tcp_ssthresh_after_loss(f, c);
	c->cwnd_acc = 0;
	c->tlp_end = TCP_POS_NONE;
	if (c->timer == TCP_TIMER_TLP)
		c->timer = TCP_TIMER_NONE;
	c->fb.events |= CC_EV_RECOVERY;
	env->cnt->fast_recovery++;
}

static void leave_recovery(struct fp_flow *f, struct tcp_cold *c)
{
	f->flags &= ~FP_F_RECOVERY;
	f->cwnd = max_u32(c->cc.ssthresh, f->mss);
	c->dupacks = 0;
	c->dup_bytes = 0;
	/* RFC 8985 section 6.2 step 4: a widened window lasts some recoveries. */
	if (c->reo_persist != 0 && --c->reo_persist == 0)
		c->reo_mult = 1;
}

/* RFC 6937 section 3: how much may be sent for what was delivered. */
static void prr(struct fp_flow *f, struct tcp_cold *c, uint64_t delivered)
{
	uint64_t pipe = tx_pipe(f, c), ssthresh = c->cc.ssthresh, limit, allowed;

	c->prr_delivered += (uint32_t)delivered;
	if (pipe > ssthresh) {
		allowed = (c->prr_delivered * ssthresh + c->recover_fs - 1) /
			  max_u32(c->recover_fs, 1);
		allowed = allowed > c->prr_out ? allowed - c->prr_out : 0;
	} else {
		limit = c->prr_delivered > c->prr_out ? c->prr_delivered - c->prr_out : 0;
		limit = max_u64(limit, delivered) + f->mss;
		allowed = min_u64(ssthresh - pipe, limit);
	}
	/* The fast retransmission itself is always sent. */
	if (c->prr_out == 0)
		allowed = max_u64(allowed, f->mss);
	f->cwnd = (uint32_t)min_u64(max_u64(pipe + allowed, f->mss), TCP_CWND_MAX);
}

/*
 * Without SACK: duplicate ACKs say that a segment has left, three of them that the oldest is lost
 * (RFC 5681); an ACK short of `recover` says that the next is lost too (RFC 6582). Returns the
 * bytes that left.
 */
static uint64_t newreno(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env,
	const struct tcp_delivery *d, int dup)
{
	uint64_t left = d->bytes;
	int hold = c->recover_hold && f->tx_una <= c->recover;

	if (d->cum != 0) {
		uint32_t back =
			d->cum > f->mss ? (uint32_t)min_u64(d->cum - f->mss, UINT32_MAX) : 0;

		left = d->bytes > c->dup_bytes ? d->bytes - c->dup_bytes : 0;
		c->dup_bytes = c->dup_bytes > back ? c->dup_bytes - back : 0;
		if (!(f->flags & FP_F_RECOVERY))
			c->dup_bytes = c->dupacks = 0;
		else if (f->tx_una < c->recover)
			tcp_sent_lose_head(f, c, env, f->mss);
	}
	if (dup && !hold && !(f->flags & FP_F_LOSS)) {
		left = f->mss;
		c->dup_bytes = (uint32_t)min_u64(c->dup_bytes + f->mss, f->tx_nxt - f->tx_una);
		if (c->dupacks < UINT8_MAX)
			c->dupacks++;
		if (c->dupacks == TCP_DUPTHRESH && !(f->flags & FP_F_RECOVERY))
			tcp_sent_lose_head(f, c, env, f->mss);
	}
	return left;
}

static void undo(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env)
{
	f->flags &= ~FP_F_LOSS;
	f->cwnd = max_u32(f->cwnd, c->undo_cwnd);
	c->cc.ssthresh = max_u32(c->cc.ssthresh, c->undo_ssthresh);
	c->frto = FRTO_OFF;
	c->recover_hold = 0;
	c->fb.events |= CC_EV_UNDO;
	tcp_sent_unlose(f, c, env);
	env->cnt->spurious_rto++;
}

/* RFC 5682 section 3.1: data that was never retransmitted arrives: the timeout was spurious. */
static void loss_ack(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env,
	const struct tcp_delivery *d, int dup)
{
	if (d->bytes == 0 && d->cum == 0 && !dup)
		return;
	if (c->frto != FRTO_OFF && d->orig) {
		undo(f, c, env);
		return;
	}
	if (f->tx_una >= c->recover) {
		f->flags &= ~FP_F_LOSS;
		c->frto = FRTO_OFF;
		return;
	}
	if (c->frto == FRTO_FIRST && d->cum != 0 && tx_end(f) > f->tx_nxt &&
		f->tx_una + f->snd_wnd > f->tx_nxt)
		c->frto = FRTO_NEW;
	else
		c->frto = FRTO_OFF;
}

void tcp_recovery_ack(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env,
	const struct tcp_delivery *d, int dup)
{
	uint64_t left = d->bytes;

	if (!(f->flags & FP_F_SACK))
		left = newreno(f, c, env, d, dup);
	if (c->recover_hold && f->tx_una > c->recover)
		c->recover_hold = 0;
	if (f->flags & FP_F_LOSS)
		loss_ack(f, c, env, d, dup);
	else if (f->flags & FP_F_RECOVERY && f->tx_una >= c->recover)
		leave_recovery(f, c);
	if (f->flags & FP_F_LOSS)
		return;
	if (!(f->flags & FP_F_RECOVERY) && c->lost_bytes != 0)
		tcp_recovery_enter(f, c, env);
	if (f->flags & FP_F_RECOVERY)
		prr(f, c, left);
}

/* A head that was SACKed and is still not acknowledged: the receiver has thrown it away (RFC 2018
 * section 8). */
static int reneged(const struct tcp_cold *c, const struct tcp_env *env)
{
	return c->sent_head != 0 && sent_at(env, c->sent_head)->flags & SENT_SACKED;
}

void tcp_recovery_rto(struct fp_flow *f, struct tcp_cold *c, struct tcp_env *env)
{
	int first = !(f->flags & (FP_F_LOSS | FP_F_RECOVERY));

	if (first) {
		c->undo_cwnd = f->cwnd;
		c->undo_ssthresh = c->cc.ssthresh;
		c->cc.ssthresh = tcp_ssthresh_after_loss(f, c);
	}
	/* Not with a timeout already being repaired: RFC 5682 section 3.1 step 1. */
	c->frto = first && f->flags & FP_F_SACK ? FRTO_FIRST : FRTO_OFF;
	f->flags = (f->flags & ~FP_F_RECOVERY) | FP_F_LOSS;
	f->cwnd = f->mss;
	c->cwnd_acc = 0;
	c->recover = f->tx_nxt;
	c->recover_hold = 1;
	c->dupacks = 0;
	c->dup_bytes = 0;
	c->tlp_end = TCP_POS_NONE;
	c->blind_pos = TCP_POS_NONE;
	tcp_sent_lose_all(f, c, env, reneged(c, env));
	c->fb.events |= CC_EV_RTO;
	f->flags |= FP_F_FEEDBACK;
	env->cnt->rto++;
}
