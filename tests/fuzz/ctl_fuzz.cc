/*
 * libFuzzer target: what a client may send to the control server. Each message begins with its
 * length; every answer is whole, and a well-formed question is answered afterwards.
 */
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "tas/ctl.h"
extern "C" {
#include "unit/ctl_fake.h"
}

namespace
{

const char *const path = "/tmp/tas-ctl-fuzz.sock";

int dial()
{
	sockaddr_un sa{};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	sa.sun_family = AF_UNIX;
	strcpy(sa.sun_path, path);
	if (connect(fd, (sockaddr *)&sa, sizeof(sa)) != 0)
		__builtin_trap();
	fake_turn(1000);
	return fd;
}

/* What came: -1 = the server hung up, 0 = nothing, 1 = a whole answer. */
int answer(int fd)
{
	static char buf[TAS_CTL_REPLY_MAX];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	tas_ctl_reply head;

	if (n <= 0)
		return n == 0 ? -1 : 0;
	if (n < (ssize_t)sizeof(head))
		__builtin_trap();
	memcpy(&head, buf, sizeof(head));
	if ((size_t)n != sizeof(head) + (size_t)head.nrows * head.row_bytes)
		__builtin_trap();
	return 1;
}

int tell(int fd, const void *p, size_t n)
{
	if (send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -1;
	fake_turn(0);
	return answer(fd);
}

void ask_well()
{
	tas_ctl_request q{};
	int fd = dial();

	q.magic = TAS_CTL_MAGIC;
	q.version = TAS_CTL_VERSION;
	q.op = TAS_CTL_STATUS;
	if (tell(fd, &q, sizeof(q)) != 1)
		__builtin_trap();
	close(fd);
	fake_turn(0);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int rc = fake_start(path, 2, 100, 10, 10);
	int fd = dial();

	if (rc != 0)
		__builtin_trap();
	while (size > 1) {
		size_t n = data[0] < size ? data[0] : size - 1;

		if (tell(fd, data + 1, n) < 0) {
			close(fd);
			fd = dial();
		}
		data += 1 + n;
		size -= 1 + n;
	}
	close(fd);
	fake_turn(0);
	ask_well();
	return 0;
}
