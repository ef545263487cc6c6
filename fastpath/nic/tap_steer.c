/*
 * tap_steer.c - the eBPF program that picks a tap's queue: hash of the segment -> group -> queue,
 * the latter in an array map that we have mapped, so that moving a group is one store. Written as
 * instructions: no compiler, no library. Anything but IPv4 TCP without IP options goes to queue 0;
 * its core forwards. bpf(2), tuntap.rst (TUNSETSTEERINGEBPF), bpf/instruction-set.rst.
 */
#include "tap_steer.h"
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VALUE_BYTES 8u /* array values are padded to 8 bytes in the mapping */

/* Registers: 6 = frame (LD_ABS needs it there), 7 = hash, 8 = scratch. */
#define INSN(c, d, s, o, i)                                                                        \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define MOV(d, s)	  INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV_IMM(d, i)	  INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ALU(op, d, s)	  INSN(BPF_ALU64 | (op) | BPF_X, d, s, 0, 0)
#define ALU_IMM(op, d, i) INSN(BPF_ALU64 | (op) | BPF_K, d, 0, 0, i)
#define LOAD(size, at)                                                                             \
	INSN(BPF_LD | BPF_ABS | (size), 0, 0, 0, at) /* r0 = frame[at], host order \
									*/
#define JUMP_IF(op, d, i)                                                                          \
	INSN(BPF_JMP | (op) | BPF_K, d, 0, 0, i) /* to queue 0: offset filled in */
#define IMM64(d, v)                                                                                \
	INSN(BPF_LD | BPF_DW | BPF_IMM, d, 0, 0, (int32_t)(uint32_t)(v)),                          \
		INSN(0, 0, 0, 0, (int32_t)(uint32_t)((v) >> 32))
#define FINISH INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

static int create_map(void)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = 4;
	attr.value_size = VALUE_BYTES;
	attr.max_entries = NIC_GROUPS;
	attr.map_flags = BPF_F_MMAPABLE;
	return bpf(BPF_MAP_CREATE, &attr);
}

/* Jumps with offset 0 after the first instruction mean "to the last two", which return queue 0. */
static void resolve_jumps(struct bpf_insn *prog, int count)
{
	int i;

	for (i = 0; i < count; i++)
		if ((prog[i].code & 7) == BPF_JMP && (prog[i].code & 0xf0) != BPF_EXIT &&
			(prog[i].code & 0xf0) != BPF_CALL)
			prog[i].off = (int16_t)(count - 2 - (i + 1));
}

static int load_program(int map_fd, const struct nic_steer *k)
{
	struct bpf_insn prog[] = {
		MOV(BPF_REG_6, BPF_REG_1),
		LOAD(BPF_H, 12),
		JUMP_IF(BPF_JNE, BPF_REG_0, 0x0800),
		LOAD(BPF_B, 14),
		JUMP_IF(BPF_JNE, BPF_REG_0, 0x45),
		LOAD(BPF_B, 23),
		JUMP_IF(BPF_JNE, BPF_REG_0, 6),
		LOAD(BPF_W, 26), /* source: the peer */
		MOV(BPF_REG_7, BPF_REG_0),
		ALU_IMM(BPF_LSH, BPF_REG_7, 32),
		LOAD(BPF_W, 30), /* destination: us */
		ALU(BPF_OR, BPF_REG_7, BPF_REG_0),
		IMM64(BPF_REG_8, k->key[0]),
		ALU(BPF_XOR, BPF_REG_7, BPF_REG_8),
		IMM64(BPF_REG_8, k->key[1]),
		ALU(BPF_MUL, BPF_REG_7, BPF_REG_8),
		MOV(BPF_REG_8, BPF_REG_7),
		ALU_IMM(BPF_RSH, BPF_REG_8, 32),
		ALU(BPF_XOR, BPF_REG_7, BPF_REG_8),
		LOAD(BPF_W, 34), /* both ports */
		ALU(BPF_XOR, BPF_REG_7, BPF_REG_0),
		IMM64(BPF_REG_8, k->key[2]),
		ALU(BPF_MUL, BPF_REG_7, BPF_REG_8),
		MOV(BPF_REG_8, BPF_REG_7),
		ALU_IMM(BPF_RSH, BPF_REG_8, 29),
		ALU(BPF_XOR, BPF_REG_7, BPF_REG_8),
		IMM64(BPF_REG_8, k->key[1]),
		ALU(BPF_MUL, BPF_REG_7, BPF_REG_8),
		ALU_IMM(BPF_RSH, BPF_REG_7, 57),
		INSN(BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, BPF_REG_7, -4, 0),
		INSN(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map_fd),
		INSN(0, 0, 0, 0, 0),
		MOV(BPF_REG_2, BPF_REG_10),
		ALU_IMM(BPF_ADD, BPF_REG_2, -4),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
		JUMP_IF(BPF_JEQ, BPF_REG_0, 0),
		INSN(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_0, BPF_REG_0, 0, 0),
		FINISH,
		MOV_IMM(BPF_REG_0, 0),
		FINISH,
	};
	union bpf_attr attr;
	int count = (int)(sizeof(prog) / sizeof(prog[0]));

	resolve_jumps(prog, count);
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	attr.insns = (uint64_t)(uintptr_t)prog;
	attr.insn_cnt = (uint32_t)count;
	attr.license = (uint64_t)(uintptr_t) "Dual BSD/GPL";
	return bpf(BPF_PROG_LOAD, &attr);
}

int tap_steer_open(struct tap_steer *s, int tun_fd, const struct nic_steer *keys)
{
	void *p;

	s->queue = NULL;
	s->prog_fd = -1;
	s->map_fd = create_map();
	if (s->map_fd < 0)
		return s->map_fd;
	s->prog_fd = load_program(s->map_fd, keys);
	if (s->prog_fd < 0)
		return s->prog_fd;
	p = mmap(NULL, NIC_GROUPS * VALUE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, s->map_fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	s->queue = p;
	if (ioctl(tun_fd, TUNSETSTEERINGEBPF, &s->prog_fd) == 0)
		return 0;
	munmap(p, NIC_GROUPS * VALUE_BYTES);
	s->queue = NULL;
	return -errno;
}

void tap_steer_close(struct tap_steer *s)
{
	if (s->queue)
		munmap((void *)(uintptr_t)s->queue, NIC_GROUPS * VALUE_BYTES);
	s->queue = NULL;
	if (s->prog_fd >= 0)
		close(s->prog_fd);
	if (s->map_fd >= 0)
		close(s->map_fd);
}

void tap_steer_set(struct tap_steer *s, uint32_t group, uint32_t queue)
{
	s->queue[group * (VALUE_BYTES / 4)] = queue;
}
