/*
 * input.h - frames that the cores hand to the slow path. Owner: slow path thread.
 */
#ifndef SP_INPUT_H
#define SP_INPUT_H

#include "tas/fp_sp.h"

struct sp;

/* Parses the frame and gives it to ARP, ICMP or TCP. Malformed ones were counted by the core. */
void sp_frame_input(struct sp *sp, struct fp_exc *exc);

#endif
