//! The errors that the kernel can answer to each system call, for tests that have a call fail.
//!
//! The section ERRORS of the call's page in section 2 of the Linux manual has more errors, and the rows have not been
//! compared with it one by one. Errors of a wrong argument are left out (EBADF, EFAULT), and errors that would be a lie
//! about a file or a process that exists (ENOENT, ESRCH). The rows have the errors of a machine without resources, a
//! security module, a broken disk, a signal, and an older or smaller kernel.

use nix::errno::Errno::{self, *};

type Row = (&'static [i64], &'static [Errno]);

/// The errors that a fault may give to a call with these arguments.
pub fn of(call: i64, arguments: [u64; 3]) -> &'static [Errno] {
    if call == libc::SYS_fcntl {
        return of_fcntl(arguments[1] as i32);
    }
    if call == libc::SYS_openat && arguments[2] as i32 & libc::O_CREAT == 0 {
        return OPEN;
    }
    // std receives the error of a program that it starts, which is 8 bytes long, from a socket pair. The pair is not reset,
    // and its messages take no memory. On another error than EINTR std panics.
    if call == libc::SYS_recvfrom && arguments[2] == 8 {
        return &[EINTR];
    }
    ROWS.iter().find(|(calls, _)| calls.contains(&call)).map_or(OTHERS, |(_, answers)| answers)
}

/// Whether the call cannot fail and has no effect on other processes.
pub fn is_private(call: i64) -> bool {
    NEVER_FAIL.contains(&call)
}

fn of_fcntl(command: i32) -> &'static [Errno] {
    match command {
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => &[EMFILE],
        libc::F_ADD_SEALS => &[EBUSY, EPERM],
        libc::F_SETLK | libc::F_OFD_SETLK => &[EAGAIN, ENOLCK],
        libc::F_SETLKW | libc::F_OFD_SETLKW => &[EINTR, ENOLCK],
        // Flags of a descriptor that is open.
        _ => &[],
    }
}

const OPEN: &[Errno] = &[EMFILE, ENFILE, ENOMEM, EACCES, ELOOP, EINTR];

/// Calls that always succeed, or whose failure the kernel does not report in the result (brk). Other processes do not
/// notice them. The number of futex and of those that wait for a time depends on the scheduler.
const NEVER_FAIL: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_arch_prctl,
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_futex,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_getuid,
    libc::SYS_getgid,
    libc::SYS_geteuid,
    libc::SYS_getegid,
    libc::SYS_getgroups,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_umask,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_getrusage,
    libc::SYS_munmap,
    libc::SYS_lseek,
    libc::SYS_exit,
];

/// For the calls without a row.
const OTHERS: &[Errno] = &[EPERM, ENOMEM];

const ROWS: &[Row] = &[
    // The call never returns: the process can only be killed before it.
    (&[libc::SYS_exit_group], &[]),
    (&[libc::SYS_open, libc::SYS_openat, libc::SYS_creat], &[EMFILE, ENFILE, ENOMEM, EACCES, ELOOP, EINTR, ENOSPC]),
    // EAGAIN and EXDEV: a component of a path with RESOLVE_IN_ROOT has changed meanwhile.
    (&[libc::SYS_openat2], &[EMFILE, ENFILE, ENOMEM, EACCES, ELOOP, EINTR, EAGAIN, EXDEV]),
    (&[libc::SYS_read, libc::SYS_readv, libc::SYS_pread64, libc::SYS_preadv], &[EINTR, EIO, ENOMEM]),
    (
        &[libc::SYS_write, libc::SYS_writev, libc::SYS_pwrite64, libc::SYS_pwritev],
        &[ENOSPC, EDQUOT, EIO, EINTR, ENOMEM, EBUSY],
    ),
    // The descriptor is closed even so, see `closes`.
    (&[libc::SYS_close], &[EINTR, EIO]),
    // Without CLOSE_RANGE_UNSHARE it fails only for wrong arguments.
    (&[libc::SYS_close_range], &[]),
    (
        &[libc::SYS_mkdir, libc::SYS_mkdirat, libc::SYS_symlink, libc::SYS_symlinkat, libc::SYS_link, libc::SYS_linkat],
        &[ENOSPC, EDQUOT, EROFS, EACCES, ENOMEM],
    ),
    (&[libc::SYS_mknod, libc::SYS_mknodat], &[ENOSPC, EDQUOT, EROFS, EACCES, EPERM, ENOMEM]),
    (&[libc::SYS_unlink, libc::SYS_unlinkat], &[EBUSY, EACCES, EPERM, EROFS, EIO, ENOMEM]),
    (&[libc::SYS_rmdir], &[EBUSY, EACCES, EPERM, ENOMEM]),
    (&[libc::SYS_rename, libc::SYS_renameat, libc::SYS_renameat2], &[ENOSPC, EDQUOT, EACCES, EROFS, EBUSY, ENOMEM]),
    (
        &[libc::SYS_stat, libc::SYS_lstat, libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_statx],
        &[ENOMEM, EACCES, ELOOP],
    ),
    (&[libc::SYS_access, libc::SYS_faccessat, libc::SYS_faccessat2], &[EACCES, EIO, ELOOP, ENOMEM, EROFS]),
    (&[libc::SYS_readlink, libc::SYS_readlinkat], &[EACCES, EIO, ELOOP, ENOMEM]),
    (&[libc::SYS_getdents64], &[EIO]),
    (&[libc::SYS_statfs, libc::SYS_fstatfs], &[EACCES, EINTR, EIO, ENOMEM]),
    (
        &[libc::SYS_chmod, libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_chown, libc::SYS_lchown, libc::SYS_fchown],
        &[EPERM, EROFS, EIO, ENOMEM],
    ),
    (&[libc::SYS_fchownat, libc::SYS_utimensat], &[EPERM, EROFS, EIO, ENOMEM]),
    (&[libc::SYS_ftruncate, libc::SYS_fallocate], &[ENOSPC, EINTR, EIO, EPERM]),
    (
        &[libc::SYS_getxattr, libc::SYS_lgetxattr, libc::SYS_fgetxattr, libc::SYS_flistxattr],
        &[EOPNOTSUPP, EACCES, ENOMEM],
    ),
    (&[libc::SYS_setxattr, libc::SYS_lsetxattr, libc::SYS_fsetxattr], &[ENOSPC, EDQUOT, EPERM, EOPNOTSUPP]),
    (&[libc::SYS_removexattr, libc::SYS_fremovexattr], &[EPERM, EOPNOTSUPP]),
    (&[libc::SYS_sendfile, libc::SYS_copy_file_range, libc::SYS_splice], &[EIO, ENOMEM, ENOSPC]),
    (&[libc::SYS_fsync, libc::SYS_fdatasync], &[EIO, ENOSPC, EDQUOT]),
    (&[libc::SYS_flock], &[EINTR, ENOLCK]),
    (&[libc::SYS_ioctl], &[EPERM, ENOTTY, EIO, ENOMEM]),
    (&[libc::SYS_dup, libc::SYS_dup2, libc::SYS_dup3], &[EMFILE, EBUSY, EINTR]),
    (&[libc::SYS_pipe2, libc::SYS_eventfd2], &[EMFILE, ENFILE]),
    (
        &[libc::SYS_epoll_create1, libc::SYS_signalfd4, libc::SYS_timerfd_create, libc::SYS_inotify_init1],
        &[EMFILE, ENFILE, ENOMEM],
    ),
    (&[libc::SYS_inotify_add_watch, libc::SYS_epoll_ctl], &[ENOMEM, ENOSPC]),
    (&[libc::SYS_poll, libc::SYS_ppoll, libc::SYS_epoll_wait, libc::SYS_epoll_pwait], &[EINTR, ENOMEM]),
    (&[libc::SYS_memfd_create], &[EMFILE, ENFILE, ENOMEM, EACCES, EPERM]),
    // Mounts. ENOSPC: /proc/sys/fs/mount-max.
    (&[libc::SYS_mount], &[EPERM, EACCES, EBUSY, ENOMEM, ENOSPC, EINVAL, ENODEV]),
    (&[libc::SYS_umount2], &[EBUSY, EAGAIN, EPERM, ENOMEM]),
    (&[libc::SYS_open_tree, libc::SYS_fsmount], &[EMFILE, ENFILE, ENOMEM, ENOSPC, EPERM, EACCES]),
    (&[libc::SYS_move_mount], &[EPERM, EINVAL, ELOOP, ENOMEM, ENOSPC, EBUSY]),
    (&[libc::SYS_fsopen, libc::SYS_fspick], &[EMFILE, ENFILE, ENOMEM, EPERM, ENODEV]),
    (&[libc::SYS_fsconfig], &[EPERM, EBUSY, ENOMEM, EINVAL, EACCES]),
    (&[libc::SYS_mount_setattr], &[EPERM, EBUSY, ENOMEM, EINVAL]),
    (&[libc::SYS_pivot_root], &[EPERM, EBUSY, EINVAL, ENOTDIR]),
    (&[libc::SYS_chroot, libc::SYS_chdir, libc::SYS_fchdir], &[EACCES, EPERM, EIO, ELOOP, ENOMEM]),
    (&[libc::SYS_getcwd], &[ENOENT, EACCES, ENOMEM]),
    // Processes. ENOSPC, EUSERS: limits of namespaces; EBUSY, EOPNOTSUPP: CLONE_INTO_CGROUP.
    (&[libc::SYS_clone3], &[EAGAIN, ENOMEM, EPERM, ENOSPC, EUSERS, EBUSY, EOPNOTSUPP]),
    (&[libc::SYS_clone, libc::SYS_fork, libc::SYS_vfork], &[EAGAIN, ENOMEM, EPERM, ENOSPC]),
    (&[libc::SYS_unshare, libc::SYS_setns], &[EPERM, ENOMEM, ENOSPC, EUSERS, EINVAL]),
    (&[libc::SYS_execve, libc::SYS_execveat], &[ENOMEM, E2BIG, EACCES, EAGAIN, EIO, ENFILE, ETXTBSY, EPERM]),
    (&[libc::SYS_wait4, libc::SYS_waitid], &[EINTR]),
    (&[libc::SYS_rt_sigtimedwait], &[EINTR, EAGAIN]),
    (&[libc::SYS_kill, libc::SYS_tgkill, libc::SYS_pidfd_send_signal], &[EPERM]),
    (&[libc::SYS_pidfd_open], &[EMFILE, ENFILE, ENOMEM]),
    (&[libc::SYS_pidfd_getfd], &[EMFILE, EPERM]),
    (&[libc::SYS_setresuid, libc::SYS_setuid, libc::SYS_setreuid], &[EAGAIN, EPERM]),
    (&[libc::SYS_setresgid, libc::SYS_setgid, libc::SYS_setregid, libc::SYS_setsid], &[EPERM]),
    (&[libc::SYS_capset, libc::SYS_capget, libc::SYS_sethostname, libc::SYS_setdomainname], &[EPERM]),
    (&[libc::SYS_prctl], &[EPERM, EINVAL]),
    (&[libc::SYS_setpriority, libc::SYS_sched_setattr, libc::SYS_sched_setscheduler], &[EPERM, EACCES, EBUSY]),
    (&[libc::SYS_prlimit64, libc::SYS_setrlimit, libc::SYS_sched_setaffinity], &[EPERM]),
    (&[libc::SYS_keyctl, libc::SYS_add_key], &[EDQUOT, ENOMEM, EACCES, EINTR]),
    (&[libc::SYS_seccomp], &[ENOMEM, EACCES, EINVAL]),
    (&[libc::SYS_bpf], &[EPERM, ENOMEM, EACCES, EINVAL, E2BIG]),
    (&[libc::SYS_getrandom], &[EINTR]),
    // Memory.
    (&[libc::SYS_mmap], &[ENOMEM, EAGAIN, ENFILE]),
    (&[libc::SYS_mprotect, libc::SYS_mremap], &[ENOMEM]),
    (&[libc::SYS_madvise], &[ENOMEM, EAGAIN, EINVAL]),
    // Sockets.
    (&[libc::SYS_socket], &[EMFILE, ENFILE, ENOMEM, ENOBUFS, EACCES, EAFNOSUPPORT]),
    (&[libc::SYS_socketpair, libc::SYS_accept4], &[EMFILE, ENFILE, ENOMEM, ENOBUFS]),
    (&[libc::SYS_bind], &[EADDRINUSE, EACCES, ENOMEM, EROFS]),
    (&[libc::SYS_connect], &[ECONNREFUSED, EINTR, EACCES]),
    (&[libc::SYS_sendmsg, libc::SYS_sendto], &[EINTR, ENOBUFS, ENOMEM]),
    (&[libc::SYS_recvmsg, libc::SYS_recvfrom], &[EINTR, ENOMEM, ECONNRESET]),
    (&[libc::SYS_setsockopt, libc::SYS_getsockopt], &[ENOMEM, ENOBUFS]),
];

/// Whether the kernel carries out the call even if it answers an error.
pub fn is_done_anyway(call: i64) -> bool {
    call == libc::SYS_close
}
