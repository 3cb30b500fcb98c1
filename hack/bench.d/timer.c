/* timer: reads a job from standard input, carries it out and writes a line of numbers for each timed command:
 *
 *   ROUND RUNTIME STEP wall-ms CPU-ms page-faults context-switches system-calls
 *
 * A job has one word and its value on a line:
 *
 *   rounds N, warm N   measured rounds, and rounds before them whose numbers are dropped
 *   pause MS           quiet before each command
 *   tracepoint ID      the number of raw_syscalls:sys_enter; without it, system calls are not counted
 *   runtime NAME       the following steps belong to this runtime; each round has the runtimes in a new random order
 *   step FLAGS         a command; FLAGS are letters: t timed, r wait afterwards until the container's process has ended,
 *                      p standard input, output and error are a terminal; - none
 *   width N            so many at once, each with its number for {} in its words (default 1)
 *   arg WORD           a word of the command
 *
 * The counters are perf events which all descendants of the command inherit. Without perf, CPU time and faults are
 * those of the command and of the children it waited for. The first line says which. The program is small since
 * fork(2) from a large one costs more. */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_STEPS = 128, MAX_RUNTIMES = 16, MAX_WORDS = 64, MAX_WIDTH = 64 };
enum { WALL, CPU, FAULTS, SWITCHES, CALLS, NUMBERS };
/* The counters that perf keeps. */
enum { EVENTS = NUMBERS - CPU };

struct step {
	char *words[MAX_WORDS + 1];
	int count, width;
	char flags[8];
};

struct runtime {
	char *name;
	int first, steps;
};

/* A command that runs, with its counters. */
struct child {
	pid_t pid;
	int event[EVENTS], terminal;
};

static struct step steps[MAX_STEPS];
static struct runtime runtimes[MAX_RUNTIMES];
static int step_count, runtime_count, rounds = 1, warm = 3, pause_ms, tracepoint, have_perf;

static int open_event(pid_t pid, uint32_t type, uint64_t config)
{
	struct perf_event_attr a = {.type = type, .size = sizeof a, .config = config,
		.sample_period = 0, .disabled = 1, .inherit = 1, .enable_on_exec = 1};
	return syscall(SYS_perf_event_open, &a, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static void open_events(struct child *c)
{
	static const uint64_t software[] = {PERF_COUNT_SW_TASK_CLOCK, PERF_COUNT_SW_PAGE_FAULTS,
		PERF_COUNT_SW_CONTEXT_SWITCHES};

	for (int i = 0; i < EVENTS; i++)
		c->event[i] = -1;
	if (!have_perf)
		return;
	for (int i = 0; i < EVENTS - 1; i++)
		if ((c->event[i] = open_event(c->pid, PERF_TYPE_SOFTWARE, software[i])) < 0)
			err(1, "perf_event_open");
	if (tracepoint && (c->event[EVENTS - 1] = open_event(c->pid, PERF_TYPE_TRACEPOINT, tracepoint)) < 0)
		err(1, "perf_event_open of the tracepoint");
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

/* Makes a new terminal; its other end is *terminal. */
static int new_terminal(int *terminal)
{
	int unlock = 0, peer;

	if ((*terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0 || ioctl(*terminal, TIOCSPTLCK, &unlock) ||
	    (peer = ioctl(*terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0)
		err(1, "terminal");
	return peer;
}

/* In the child: waits for the start, then becomes the command. */
static void become(const struct step *s, int number, int go, int terminal)
{
	char *words[MAX_WORDS + 1] = {NULL}, *at, b;

	for (int i = 0; i < s->count; i++) {
		words[i] = s->words[i];
		if ((at = strstr(s->words[i], "{}")) &&
		    asprintf(&words[i], "%.*s%d%s", (int)(at - s->words[i]), s->words[i], number, at + 2) < 0)
			err(127, "asprintf");
	}
	if (terminal >= 0) {
		setsid();
		if (ioctl(terminal, TIOCSCTTY, 0) || dup2(terminal, 0) < 0 || dup2(terminal, 1) < 0 || dup2(terminal, 2) < 0)
			err(127, "terminal");
	}
	while (read(go, &b, 1) < 0 && errno == EINTR)
		;
	execv(words[0], words);
	err(127, "%s", words[0]);
}

static void fork_child(struct child *c, const struct step *s, int number, const int go[2])
{
	int peer = -1;

	c->terminal = -1;
	if (strchr(s->flags, 'p'))
		peer = new_terminal(&c->terminal);
	if ((c->pid = fork()) < 0)
		err(1, "fork");
	if (!c->pid) {
		close(go[1]);
		become(s, number, go[0], peer);
	}
	if (peer >= 0)
		close(peer);
	open_events(c);
}

/* Adds the counters of a command that has ended, and closes them. */
static void collect(struct child *c, const struct rusage *ru, double *v)
{
	uint64_t n;

	for (int i = 0; i < EVENTS; i++) {
		if (c->event[i] < 0)
			continue;
		if (read(c->event[i], &n, sizeof n) != sizeof n)
			err(1, "perf event");
		v[CPU + i] += i ? n : n / 1e6;
		close(c->event[i]);
	}
	if (!have_perf) {
		v[CPU] += (ru->ru_utime.tv_sec + ru->ru_stime.tv_sec) * 1e3 + (ru->ru_utime.tv_usec + ru->ru_stime.tv_usec) / 1e3;
		v[FAULTS] += ru->ru_minflt + ru->ru_majflt;
		v[SWITCHES] += ru->ru_nvcsw + ru->ru_nivcsw;
	}
	if (c->terminal >= 0)
		close(c->terminal);
}

static void failed(const struct runtime *r, int number, int status)
{
	int signaled = WIFSIGNALED(status);
	errx(1, "%s, command %d: %s %d", r->name, number, signaled ? "signal" : "status",
	     signaled ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* Runs one step of a runtime. The numbers are those of one command: the totals divided by the width. */
static void run_step(const struct runtime *r, int index, double v[NUMBERS])
{
	const struct step *s = &steps[r->first + index];
	struct child children[MAX_WIDTH];
	struct rusage ru, usage[MAX_WIDTH];
	int go[2], status, left = s->width;
	double start;
	pid_t done;

	memset(v, 0, NUMBERS * sizeof *v);
	if (pipe2(go, O_CLOEXEC))
		err(1, "pipe2");
	for (int i = 0; i < s->width; i++)
		fork_child(&children[i], s, i, go);
	close(go[0]);
	/* The children exist already: fork(2) is not measured. */
	usleep(pause_ms * 1000);
	start = now();
	close(go[1]); /* all children read the end of the pipe, and go on */
	while (left) {
		/* The processes of containers outlive their runtime. They become children of this program. */
		if ((done = wait4(-1, &status, 0, &ru)) < 0)
			err(1, "wait4");
		for (int i = 0; i < s->width; i++) {
			if (children[i].pid != done)
				continue;
			if (status)
				failed(r, index + 1, status);
			usage[i] = ru;
			left--;
		}
	}
	v[WALL] = now() - start;
	for (int i = 0; i < s->width; i++)
		collect(&children[i], &usage[i], v);
	for (int i = 0; i < NUMBERS; i++)
		v[i] /= s->width;
	if (strchr(s->flags, 'r'))
		while (wait4(-1, NULL, 0, NULL) > 0)
			;
}

static void run_round(int round)
{
	double v[NUMBERS];

	for (int i = runtime_count - 1; i > 0; i--) {
		int j = rand() % (i + 1);
		struct runtime t = runtimes[i];
		runtimes[i] = runtimes[j];
		runtimes[j] = t;
	}
	for (int i = 0; i < runtime_count; i++)
		for (int k = 0; k < runtimes[i].steps; k++) {
			run_step(&runtimes[i], k, v);
			if (round >= 0 && strchr(steps[runtimes[i].first + k].flags, 't'))
				printf("%d %s %d %.4f %.4f %.1f %.1f %.1f\n", round, runtimes[i].name, k, v[WALL], v[CPU],
				       v[FAULTS], v[SWITCHES], v[CALLS]);
		}
}

static void read_line(const char *word, char *value)
{
	struct step *s = &steps[step_count - 1];

	if (!strcmp(word, "rounds"))
		rounds = atoi(value);
	else if (!strcmp(word, "warm"))
		warm = atoi(value);
	else if (!strcmp(word, "pause"))
		pause_ms = atoi(value);
	else if (!strcmp(word, "tracepoint"))
		tracepoint = atoi(value);
	else if (!strcmp(word, "runtime") && runtime_count < MAX_RUNTIMES)
		runtimes[runtime_count++] = (struct runtime){strdup(value), step_count, 0};
	else if (!strcmp(word, "step") && runtime_count && step_count < MAX_STEPS) {
		runtimes[runtime_count - 1].steps++;
		s = &steps[step_count++];
		s->width = 1;
		snprintf(s->flags, sizeof s->flags, "%s", value);
	} else if (!strcmp(word, "width") && step_count && atoi(value) >= 1 && atoi(value) <= MAX_WIDTH)
		s->width = atoi(value);
	else if (!strcmp(word, "arg") && step_count && s->count < MAX_WORDS)
		s->words[s->count++] = strdup(value);
	else
		errx(2, "bad line in the job: %s %s", word, value);
}

int main(void)
{
	char line[8192], *value;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (!(value = strchr(line, ' ')))
			errx(2, "bad line in the job: %s", line);
		*value++ = 0;
		read_line(line, value);
	}
	if ((fd = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0 || dup2(fd, 0) < 0)
		err(1, "/dev/null");
	/* The commands write nothing into the numbers. */
	FILE *numbers = fdopen(fcntl(1, F_DUPFD_CLOEXEC, 3), "w");
	if (!numbers || dup2(fd, 1) < 0)
		err(1, "standard output");
	stdout = numbers;
	if ((fd = open_event(0, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK)) >= 0) {
		have_perf = 1;
		close(fd);
	}
	puts(have_perf ? "perf" : "rusage");
	fflush(stdout);
	srand(time(NULL) ^ getpid());
	for (int round = -warm; round < rounds; round++) {
		run_round(round);
		fflush(stdout);
	}
	return 0;
}
