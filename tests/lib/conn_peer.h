/*
 * conn_peer.h - a fixture for tests of connections: one program, and a peer whose MAC is known.
 */
#ifndef CONN_PEER_H
#define CONN_PEER_H

#include "sp_peer.h"

class Conn : public SlowPath
{
      protected:
	struct sp_app *app = nullptr;

	void SetUp() override
	{
		start();
		app = program();
		learn_peer();
		fake_forget();
	}
};

#endif
