/* For Linux 6.1 in user mode, preloaded: its ptrace(2) calls.
 *
 * That kernel keeps as much of a processor's extended state as it knows, and the host's takes none but the whole
 * (PTRACE_SETREGSET with NT_X86_XSTATE), which is larger where the processor has AMX: its first process would be killed.
 * What is missing is what the process has already. */
#define _GNU_SOURCE
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static long call(long request, long pid, void *addr, void *data)
{
	return syscall(SYS_ptrace, request, pid, addr, data);
}

long ptrace(enum __ptrace_request request, ...)
{
	static char state[65536] __attribute__((aligned(64)));
	va_list list;
	va_start(list, request);
	pid_t pid = va_arg(list, pid_t);
	void *addr = va_arg(list, void *), *data = va_arg(list, void *);
	va_end(list);
	if (request == PTRACE_SETREGSET && (long)addr == NT_X86_XSTATE) {
		struct iovec *part = data, whole = {state, sizeof state};
		if (call(PTRACE_GETREGSET, pid, addr, &whole) == 0 && whole.iov_len > part->iov_len) {
			memcpy(state, part->iov_base, part->iov_len);
			return call(PTRACE_SETREGSET, pid, addr, &whole);
		}
	}
	if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
		long word = 0, result = call(request, pid, addr, &word);
		return result < 0 ? result : word;
	}
	return call(request, pid, addr, data);
}
