/* count FILE LABEL COMMAND...: runs a command and counts the system calls of it and of its descendants until the command
 * itself ends. Appends "LABEL NUMBER" to FILE, and ends like the command. For kernels whose tracepoint is not at hand: the
 * command is several times as slow, since each call stops it. */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static const long follow = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
			   PTRACE_O_TRACEEXEC;
static long half_calls;
static int started;

/* The first and the last half of a call stop the process. Some kernels do not say which of them it is. */
static void count_stop(pid_t pid)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) < 0)
		half_calls++;
	else if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
		half_calls += 2;
}

/* Lets a process that has stopped go on, and gives it the signal that stopped it. */
static void go_on(pid_t pid, int status)
{
	int signal = WSTOPSIG(status), event = status >> 16;

	if (signal == (SIGTRAP | 0x80)) {
		if (started)
			count_stop(pid);
		signal = 0;
	} else if (event) {
		started |= event == PTRACE_EVENT_EXEC;
		signal = 0;
	}
	ptrace(PTRACE_SYSCALL, pid, 0, signal);
}

int main(int argc, char **argv)
{
	int go[2], status;
	pid_t command, pid;
	char line[256], b;
	FILE *file;

	if (argc < 4)
		errx(2, "usage: count FILE LABEL COMMAND...");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pipe2(go, O_CLOEXEC) || (command = fork()) < 0)
		err(1, "fork");
	if (!command) {
		if (read(go[0], &b, 1) == 1)
			execv(argv[3], argv + 3);
		err(127, "%s", argv[3]);
	}
	if (ptrace(PTRACE_SEIZE, command, 0, follow) || ptrace(PTRACE_INTERRUPT, command, 0, 0) || write(go[1], "", 1) != 1)
		err(1, "ptrace");
	close(go[0]);
	close(go[1]);
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status))
			go_on(pid, status);
		else if (pid == command)
			break;
	}
	if (pid < 0 || !(file = fopen(argv[1], "ae")))
		err(1, "%s", argv[1]);
	/* One write, since several of these programs may append at once. */
	snprintf(line, sizeof line, "%s %ld\n", argv[2], half_calls / 2);
	fputs(line, file);
	fclose(file);
	/* The kernel lets the descendants go when this process ends. */
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
