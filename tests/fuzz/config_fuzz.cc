/*
 * libFuzzer target: a configuration file of any bytes. It is taken, or refused with a sentence.
 */
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>
extern "C" {
#include "config.h"
}

/* libconfig's scanner forgets the string it was reading when the parser gives up. */
extern "C" const char *__lsan_default_suppressions();
extern "C" const char *__lsan_default_suppressions()
{
	return "leak:libconfig.so";
}

static void load(const char *path)
{
	char program[] = "tas", option[] = "-c", file[64], err[512] = "";
	char *argv[] = {program, option, file, nullptr};
	struct sp_config_args args = {};
	struct sp_config conf = {};

	strcpy(file, path);
	if (sp_config_load(&conf, &args, 3, argv, err, sizeof(err)) == 0)
		sp_config_free(&conf);
	else if (strnlen(err, sizeof(err)) == 0 || strnlen(err, sizeof(err)) == sizeof(err))
		__builtin_trap();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = memfd_create("config", MFD_CLOEXEC);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		return 0;
	load(path);
	return 0;
}
