/*
 * tas-run-program.c - looks at the file that will be executed: elf(5), execve(2) on scripts,
 * ld.so(8) on secure-execution mode. Whatever is not understood is left to execvp(). Owner: tas-run.
 */
#include "tas-run-program.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SCRIPTS	   4   /* how often an interpreter may be a script: execve(2) */
#define HEAD_BYTES 256 /* what the kernel reads of a script's first line: execve(2) */

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#endif

/* The first executable file of that name, as execvp() searches; 0 or -1. */
static int find_program(const char *name, char out[PATH_MAX])
{
	const char *p = getenv("PATH");
	struct stat st;
	size_t len;
	int n;

	if (strchr(name, '/') != NULL)
		return snprintf(out, PATH_MAX, "%s", name) < PATH_MAX ? 0 : -1;
	for (p = p != NULL ? p : "/bin:/usr/bin";; p += len + 1) {
		len = strcspn(p, ":");
		n = snprintf(out, PATH_MAX, "%.*s%s%s", (int)len, p, len != 0 ? "/" : "", name);
		if (n < PATH_MAX && stat(out, &st) == 0 && S_ISREG(st.st_mode) &&
			access(out, X_OK) == 0)
			return 0;
		if (p[len] == '\0')
			return -1;
	}
}

/* Will the dynamic linker distrust the environment? Only where the file changes who we are. */
static bool is_privileged(int fd)
{
	struct statvfs fs;
	struct stat st;

	if (fstat(fd, &st) != 0 || fstatvfs(fd, &fs) != 0 || (fs.f_flag & ST_NOSUID) != 0 ||
		prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return false;
	if ((st.st_mode & S_ISUID) != 0 && st.st_uid != getuid())
		return true;
	if ((st.st_mode & S_ISGID) != 0 && (st.st_mode & S_IXGRP) != 0 && st.st_gid != getgid())
		return true;
	return getuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

/* The dynamic linker itself, given as the command, has no interpreter and preloads all the same. */
static bool is_linker(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;

	return strncmp(name, "ld", 2) == 0 && strstr(name, ".so") != NULL;
}

static void look_at_elf(int fd, const char *path, const ElfW(Ehdr) * eh, struct program *p)
{
	bool dynamic = is_linker(path), go = false;
	ElfW(Phdr) ph;
	unsigned i;

	p->unreached = "is a 32-bit program";
	if (eh->e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
		return;
	p->unreached = NULL;
#ifdef MACHINE
	if (eh->e_machine != MACHINE)
		return;
#endif
	if (eh->e_phentsize != sizeof(ph))
		return;
	for (i = 0; i < eh->e_phnum; i++) {
		if (pread(fd, &ph, sizeof(ph), (off_t)(eh->e_phoff + i * sizeof(ph))) !=
			(ssize_t)sizeof(ph))
			return;
		dynamic |= ph.p_type == PT_INTERP;
		go |= ph.p_type == PT_NOTE && program_is_go(fd, &ph);
	}
	if (!dynamic)
		p->unreached = go ? "is a Go program, statically linked" : "is statically linked";
	else if (go)
		p->unreached = "is a Go program, which makes its own system calls";
	else if (is_privileged(fd))
		p->unreached = "runs with other rights than yours";
	else
		program_needs(fd, eh, p);
}

/* "#! INTERPRETER [ARGUMENT]": INTERPRETER to path; 0 or -1. */
static int interpreter(const char *line, char path[PATH_MAX])
{
	size_t len;

	line += 2;
	line += strspn(line, " \t");
	len = strcspn(line, " \t\n");
	if (len == 0)
		return -1;
	memcpy(path, line, len);
	path[len] = '\0';
	return 0;
}

void program_look(const char *name, struct program *p)
{
	union {
		char text[HEAD_BYTES + 1];
		ElfW(Ehdr) elf;
	} head;
	char path[PATH_MAX];
	int i, fd;
	bool again = find_program(name, path) == 0;

	memset(p, 0, sizeof(*p));
	for (i = 0; again && i <= SCRIPTS; i++) {
		again = false;
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd < 0)
			return;
		memset(&head, 0, sizeof(head));
		if (pread(fd, &head, HEAD_BYTES, 0) < 0)
			head.text[0] = '\0';
		if (memcmp(head.text, ELFMAG, SELFMAG) == 0)
			look_at_elf(fd, path, &head.elf, p);
		else if (strncmp(head.text, "#!", 2) == 0)
			again = interpreter(head.text, path) == 0;
		close(fd);
	}
}
