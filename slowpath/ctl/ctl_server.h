/*
 * ctl_server.h - the daemon's end of tasctl's socket (include/tas/ctl.h).
 * Owner: slow path thread.
 */
#ifndef SP_CTL_SERVER_H
#define SP_CTL_SERVER_H

struct sp;

/* Opens conf.ctl_socket and joins the loop; nothing when it is empty. 0, or -errno with one
 * sentence logged. */
int sp_ctl_start(struct sp *sp);
/* Disconnects everyone and removes the socket. Harmless when not started. */
void sp_ctl_stop(struct sp *sp);

#endif
