/*
 * tas-run-elf.c - what the file of a program says of itself: the libraries it needs, the language it was made with.
 *
 * A file that is not what it should be is left to the loader. elf(5). Owner: tas-run, and libtas where a program is started.
 */
#include "tas-run-program.h"

#include <string.h>
#include <unistd.h>

#define SEGMENTS    64	 /* of more than that, none is looked at */
#define DYNAMIC_MAX 256	 /* entries looked at */
#define NOTES_MAX   1024 /* bytes looked at */

struct elf {
	int fd;
	ElfW(Phdr) ph[SEGMENTS];
	unsigned n;
};

static bool read_at(int fd, void *to, size_t n, ElfW(Off) at)
{
	return pread(fd, to, n, (off_t)at) == (ssize_t)n;
}

static const ElfW(Phdr) * segment(const struct elf *e, ElfW(Word) type, ElfW(Addr) holds)
{
	unsigned i;

	for (i = 0; i < e->n; i++)
		if (e->ph[i].p_type == type &&
			(holds == 0 || (holds >= e->ph[i].p_vaddr &&
					       holds - e->ph[i].p_vaddr < e->ph[i].p_filesz)))
			return &e->ph[i];
	return NULL;
}

static bool starts(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

static void one_need(const char *name, struct program *p)
{
	if (starts(name, "liburing.so"))
		p->uring = true;
	if (p->first[0] == '\0' && strlen(name) < sizeof(p->first) &&
		(starts(name, "libasan.so") || starts(name, "libtsan.so") ||
			starts(name, "liblsan.so") || starts(name, "libhwasan.so")))
		strcpy(p->first, name);
}

static void each_need(const struct elf *e, const ElfW(Dyn) * d, size_t n, struct program *p)
{
	const ElfW(Phdr) * load;
	ElfW(Addr) strings = 0;
	char name[64];
	ssize_t got;
	size_t i;

	for (i = 0; i < n && d[i].d_tag != DT_NULL; i++)
		if (d[i].d_tag == DT_STRTAB)
			strings = d[i].d_un.d_ptr;
	load = strings != 0 ? segment(e, PT_LOAD, strings) : NULL;
	for (i = 0; load != NULL && i < n && d[i].d_tag != DT_NULL; i++) {
		if (d[i].d_tag != DT_NEEDED)
			continue;
		got = pread(e->fd, name, sizeof(name) - 1,
			(off_t)(strings - load->p_vaddr + load->p_offset + d[i].d_un.d_val));
		if (got > 0) {
			name[got] = '\0';
			one_need(name, p);
		}
	}
}

void program_needs(int fd, const ElfW(Ehdr) * eh, struct program *p)
{
	struct elf e = {.fd = fd, .n = eh->e_phnum};
	ElfW(Dyn) d[DYNAMIC_MAX];
	const ElfW(Phdr) * dynamic;
	size_t bytes;

	if (e.n > SEGMENTS || !read_at(fd, e.ph, e.n * sizeof(e.ph[0]), eh->e_phoff))
		return;
	dynamic = segment(&e, PT_DYNAMIC, 0);
	if (dynamic == NULL)
		return;
	bytes = dynamic->p_filesz < sizeof(d) ? dynamic->p_filesz : sizeof(d);
	if (read_at(fd, d, bytes, dynamic->p_offset))
		each_need(&e, d, bytes / sizeof(d[0]), p);
}

/* The toolchain of Go leaves a note with its build ID, by the name "Go". */
bool program_is_go(int fd, const ElfW(Phdr) * note)
{
	char notes[NOTES_MAX];
	size_t n = note->p_filesz < sizeof(notes) ? note->p_filesz : sizeof(notes), at = 0, next;
	ElfW(Nhdr) h;

	if (!read_at(fd, notes, n, note->p_offset))
		return false;
	while (n - at >= sizeof(h) + 4) {
		memcpy(&h, notes + at, sizeof(h));
		if (h.n_namesz == 4 && memcmp(notes + at + sizeof(h), "Go\0", 4) == 0)
			return true;
		next = sizeof(h) + (((size_t)h.n_namesz + 3) & ~(size_t)3) +
		       (((size_t)h.n_descsz + 3) & ~(size_t)3);
		if (next > n - at)
			return false;
		at += next;
	}
	return false;
}
