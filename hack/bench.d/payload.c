/* The program in the container: with PAUSE it sleeps, else it ends at once. It has no libc where this file can do without. */
#include <sys/syscall.h>
#include <unistd.h>
#ifdef __x86_64__
void _start(void)
{
	for (;;)
		__asm__ volatile("syscall" : : "a"(PAUSE ? SYS_pause : SYS_exit_group), "D"(0) : "rcx", "r11", "memory");
}
#else
int main(void) { return PAUSE ? pause() : 0; }
#endif
