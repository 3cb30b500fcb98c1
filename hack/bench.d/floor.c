/* floor: the system calls that the default config (bundles/default) needs, and nothing else: no JSON, no state, no
 * checks. A runtime that is faster does less.
 *
 *   floor [-c DIR] [-v DIR]... [-b N DIR] ROOTFS PROGRAM
 *
 * -c DIR    makes a cgroup in this directory of a v2 hierarchy, gives it the device program and clones into it; a
 *           cgroup namespace as well unless there are v1 hierarchies
 * -v DIR    makes a cgroup in this directory of a v1 hierarchy; the container's process moves itself there
 * -b N DIR  binds DIR/0 to DIR/N-1 on /m/0 to /m/N-1 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRY(call) ({ long r_ = (long)(call); if (r_ < 0) err(1, "%s", #call); r_; })
#define COUNT(list) (sizeof(list) / sizeof *(list))

enum { MAX_V1 = 16, GUARDED = MS_NOSUID | MS_NODEV | MS_NOEXEC };

static const char *parent_v2, *parents_v1[MAX_V1], *binds_from, *rootfs, *program;
static char cgroups_v1[MAX_V1][256], cgroup_v2[256];
static int v1_count, binds;

static const struct { const char *type, *on, *data; unsigned long flags; } mounts[] = {
	{"proc", "proc", NULL, 0},
	{"tmpfs", "dev", "mode=755,size=65536k", MS_NOSUID | MS_STRICTATIME},
	{"devpts", "dev/pts", "newinstance,ptmxmode=0666,mode=0620,gid=5", MS_NOSUID | MS_NOEXEC},
	{"tmpfs", "dev/shm", "mode=1777,size=65536k", GUARDED},
	{"mqueue", "dev/mqueue", NULL, GUARDED},
	{"sysfs", "sys", NULL, GUARDED | MS_RDONLY},
};
static const struct { const char *path; int major, minor; } nodes[] = {
	{"dev/null", 1, 3}, {"dev/zero", 1, 5}, {"dev/full", 1, 7}, {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0},
};
static const char *links[][2] = {
	{"/proc/self/fd", "dev/fd"}, {"/proc/self/fd/0", "dev/stdin"}, {"/proc/self/fd/1", "dev/stdout"},
	{"/proc/self/fd/2", "dev/stderr"}, {"pts/ptmx", "dev/ptmx"},
};
static const char *masked[] = {
	"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
	"/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
};
static const char *read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
static const char *rules_v1[] = {
	"c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm",
	"c 136:* rwm",
};

/* The device program of the default config: nodes may be made, and the devices that every container has may be used. */
static int load_device_program(void)
{
#define LOAD(to, offset) {BPF_LDX | BPF_MEM | BPF_W, to, 1, offsetof(struct bpf_cgroup_dev_ctx, offset), 0}
#define IF(compare, register, value, skip) {BPF_JMP | compare | BPF_K, register, 0, skip, value}
#define ANSWER(value) {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, value}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}
	static const struct bpf_insn code[] = {
		LOAD(2, access_type),
		{BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0, 0},
		{BPF_ALU64 | BPF_RSH | BPF_K, 3, 0, 0, 16}, /* r3: the access */
		IF(BPF_JEQ, 3, BPF_DEVCG_ACC_MKNOD, 17),
		{BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 0xffff}, /* r2: the type */
		IF(BPF_JNE, 2, BPF_DEVCG_DEV_CHAR, 13),
		LOAD(4, major),
		LOAD(5, minor),
		IF(BPF_JEQ, 4, 136, 12),
		IF(BPF_JEQ, 4, 5, 7),
		IF(BPF_JNE, 4, 1, 8),
		IF(BPF_JEQ, 5, 3, 9),
		IF(BPF_JEQ, 5, 5, 8),
		IF(BPF_JEQ, 5, 7, 7),
		IF(BPF_JEQ, 5, 8, 6),
		IF(BPF_JEQ, 5, 9, 5),
		{BPF_JMP | BPF_JA, 0, 0, 2, 0},
		IF(BPF_JEQ, 5, 0, 3),
		IF(BPF_JEQ, 5, 2, 2),
		ANSWER(0),
		ANSWER(1),
	};
	static const char license[] = "";
	union bpf_attr a = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE, .insns = (uintptr_t)code, .insn_cnt = COUNT(code),
		.license = (uintptr_t)license};
	return TRY(syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof a));
}

static void attach_device_program(int cgroup)
{
	int loaded = load_device_program();
	union bpf_attr a = {.target_fd = cgroup, .attach_bpf_fd = loaded, .attach_type = BPF_CGROUP_DEVICE,
		.attach_flags = BPF_F_ALLOW_MULTI};

	TRY(syscall(SYS_bpf, BPF_PROG_ATTACH, &a, sizeof a));
	close(loaded);
}

static void write_file(const char *dir, const char *file, const char *text)
{
	char path[512];
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, file);
	fd = TRY(open(path, O_WRONLY | O_CLOEXEC));
	TRY(write(fd, text, strlen(text)));
	close(fd);
}

/* A new cpuset cgroup has no processors until they are written. */
static void copy_file(const char *from, const char *to, const char *file)
{
	char path[512], text[256];
	int fd, n;

	snprintf(path, sizeof path, "%s/%s", from, file);
	fd = TRY(open(path, O_RDONLY | O_CLOEXEC));
	n = TRY(read(fd, text, sizeof text - 1));
	text[n] = 0;
	close(fd);
	write_file(to, file, text);
}

static void make_v1(int i)
{
	snprintf(cgroups_v1[i], sizeof *cgroups_v1, "%s/floor-%d", parents_v1[i], getpid());
	TRY(mkdir(cgroups_v1[i], 0755));
	if (strstr(parents_v1[i], "/cpuset/")) {
		copy_file(parents_v1[i], cgroups_v1[i], "cpuset.cpus");
		copy_file(parents_v1[i], cgroups_v1[i], "cpuset.mems");
	}
	if (strstr(parents_v1[i], "/devices/")) {
		write_file(cgroups_v1[i], "devices.deny", "a");
		for (unsigned k = 0; k < COUNT(rules_v1); k++)
			write_file(cgroups_v1[i], "devices.allow", rules_v1[k]);
	}
}

/* The mount of type cgroup: on v2 the hierarchy itself, on v1 the container's own cgroups under their names. */
static void mount_cgroups(void)
{
	char path[512], own[256];

	if (!v1_count) {
		if (parent_v2)
			TRY(mount("cgroup", "sys/fs/cgroup", "cgroup2", GUARDED | MS_RELATIME | MS_RDONLY, NULL));
		return;
	}
	TRY(mount("cgroup", "sys/fs/cgroup", "tmpfs", GUARDED, "mode=755"));
	for (int i = 0; i < v1_count; i++) {
		snprintf(own, sizeof own, "%s", parents_v1[i]);
		snprintf(path, sizeof path, "sys/fs/cgroup/%s", basename(dirname(own)));
		TRY(mkdir(path, 0755));
		TRY(mount(cgroups_v1[i], path, NULL, MS_BIND, NULL));
		TRY(mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | GUARDED, NULL));
	}
	TRY(mount(NULL, "sys/fs/cgroup", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | GUARDED, NULL));
}

static void fill_root(void)
{
	char from[512], on[64];

	umask(0);
	for (unsigned i = 0; i < COUNT(mounts); i++) {
		if (i > 1 && strncmp(mounts[i].on, "dev/", 4) == 0)
			TRY(mkdir(mounts[i].on, 0755));
		TRY(mount(mounts[i].type, mounts[i].on, mounts[i].type, mounts[i].flags, mounts[i].data));
	}
	mount_cgroups();
	for (int i = 0; i < binds; i++) {
		snprintf(from, sizeof from, "%s/%d", binds_from, i);
		snprintf(on, sizeof on, "m/%d", i);
		TRY(mount(from, on, NULL, MS_BIND | MS_REC, NULL));
	}
	for (unsigned i = 0; i < COUNT(nodes); i++)
		TRY(mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)));
	for (unsigned i = 0; i < COUNT(links); i++)
		TRY(symlink(links[i][0], links[i][1]));
	umask(022);
}

static void guard_paths(void)
{
	struct stat st;

	for (unsigned i = 0; i < COUNT(read_only); i++)
		if (mount(read_only[i], read_only[i], NULL, MS_BIND | MS_REC, NULL) == 0)
			TRY(mount(NULL, read_only[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | GUARDED, NULL));
	for (unsigned i = 0; i < COUNT(masked); i++) {
		if (stat(masked[i], &st))
			continue;
		if (S_ISDIR(st.st_mode))
			TRY(mount("tmpfs", masked[i], "tmpfs", MS_RDONLY, NULL));
		else
			TRY(mount("/dev/null", masked[i], NULL, MS_BIND, NULL));
	}
}

static void drop_rights(void)
{
	const uint64_t kept = 1ull << CAP_AUDIT_WRITE | 1ull << CAP_KILL | 1ull << CAP_NET_BIND_SERVICE;
	struct rlimit files = {1024, 1024};
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct sets[2] = {{kept, kept, 0}, {kept >> 32, kept >> 32, 0}};

	TRY(setrlimit(RLIMIT_NOFILE, &files));
	for (int i = 0; i <= CAP_LAST_CAP; i++)
		if (!(kept >> i & 1))
			prctl(PR_CAPBSET_DROP, i);
	TRY(syscall(SYS_capset, &header, sets));
	TRY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void container(void)
{
	char *words[] = {(char *)program, NULL}, *environment[] = {"PATH=/bin", "TERM=xterm", NULL};

	/* To move another process, the kernel waits for a grace period of RCU, but not if a thread moves itself. */
	for (int i = 0; i < v1_count; i++)
		write_file(cgroups_v1[i], "tasks", "0");
	TRY(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	TRY(mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL));
	TRY(chdir(rootfs));
	fill_root();
	TRY(syscall(SYS_pivot_root, ".", "."));
	TRY(umount2(".", MNT_DETACH));
	TRY(chdir("/"));
	TRY(mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
	guard_paths();
	TRY(sethostname("floor", 5));
	TRY(setsid());
	drop_rights();
	TRY(syscall(SYS_close_range, 3, ~0u, 0));
	TRY(execve(program, words, environment));
}

static void options(int argc, char **argv)
{
	int i = 1;

	for (; i + 1 < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "-c"))
			parent_v2 = argv[++i];
		else if (!strcmp(argv[i], "-v") && v1_count < MAX_V1)
			parents_v1[v1_count++] = argv[++i];
		else if (!strcmp(argv[i], "-b") && i + 2 < argc) {
			binds = atoi(argv[++i]);
			binds_from = argv[++i];
		}
	}
	if (i + 2 != argc)
		errx(2, "usage: floor [-c DIR] [-v DIR]... [-b N DIR] ROOTFS PROGRAM");
	rootfs = argv[i];
	program = argv[i + 1];
}

int main(int argc, char **argv)
{
	struct clone_args a = {.exit_signal = SIGCHLD,
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS};
	int cgroup = -1, status;
	pid_t pid;

	options(argc, argv);
	if (parent_v2) {
		snprintf(cgroup_v2, sizeof cgroup_v2, "%s/floor-%d", parent_v2, getpid());
		TRY(mkdir(cgroup_v2, 0755));
		a.cgroup = cgroup = TRY(open(cgroup_v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
		a.flags |= CLONE_INTO_CGROUP | (v1_count ? 0 : CLONE_NEWCGROUP);
		/* Beside v1 hierarchies, the devices hierarchy has the rules. */
		if (!v1_count)
			attach_device_program(cgroup);
	}
	for (int i = 0; i < v1_count; i++)
		make_v1(i);
	pid = TRY(syscall(SYS_clone3, &a, sizeof a));
	if (!pid)
		container();
	TRY(waitpid(pid, &status, 0));
	if (cgroup >= 0)
		TRY(rmdir(cgroup_v2));
	for (int i = 0; i < v1_count; i++)
		TRY(rmdir(cgroups_v1[i]));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
