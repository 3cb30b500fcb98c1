//! The system calls that `init` makes: their numbers (`asm/unistd_64.h`), and their names for messages about a failure.

macro_rules! calls {
    ($($constant:ident = $number:literal, $name:literal;)*) => {
        $(#[allow(missing_docs, reason = "the name is the call's")] pub const $constant: u32 = $number;)*

        /// The number and the name of each call.
        const NAMES: &[(u32, &str)] = &[$(($number, $name)),*];
    };
}

calls! {
    READ = 0, "read";
    WRITE = 1, "write";
    CLOSE = 3, "close";
    FSTAT = 5, "fstat";
    LSEEK = 8, "lseek";
    MMAP = 9, "mmap";
    RT_SIGACTION = 13, "sigaction";
    RT_SIGPROCMASK = 14, "sigprocmask";
    IOCTL = 16, "ioctl";
    SENDFILE = 40, "sendfile";
    SOCKET = 41, "socket";
    SENDMSG = 46, "sendmsg";
    CLONE = 56, "clone";
    EXECVE = 59, "execve";
    FCNTL = 72, "fcntl";
    GETCWD = 79, "getcwd";
    CHDIR = 80, "chdir";
    FCHDIR = 81, "fchdir";
    FCHMOD = 91, "fchmod";
    FCHOWN = 93, "fchown";
    UMASK = 95, "umask";
    SETSID = 112, "setsid";
    SETGROUPS = 116, "setgroups";
    SETRESUID = 117, "setresuid";
    SETRESGID = 119, "setresgid";
    CAPGET = 125, "capget";
    CAPSET = 126, "capset";
    PERSONALITY = 135, "personality";
    FSTATFS = 138, "fstatfs";
    PIVOT_ROOT = 155, "pivot_root";
    PRCTL = 157, "prctl";
    CHROOT = 161, "chroot";
    MOUNT = 165, "mount";
    UMOUNT2 = 166, "umount";
    SETHOSTNAME = 170, "sethostname";
    SETDOMAINNAME = 171, "setdomainname";
    FSETXATTR = 190, "fsetxattr";
    FGETXATTR = 193, "fgetxattr";
    FLISTXATTR = 196, "flistxattr";
    SCHED_SETAFFINITY = 203, "sched_setaffinity";
    GETDENTS64 = 217, "getdents";
    EXIT_GROUP = 231, "exit";
    SET_MEMPOLICY = 238, "set_mempolicy";
    KEYCTL = 250, "keyctl";
    IOPRIO_SET = 251, "ioprio_set";
    OPENAT = 257, "open";
    MKDIRAT = 258, "mkdir";
    MKNODAT = 259, "mknod";
    FCHOWNAT = 260, "chown";
    NEWFSTATAT = 262, "stat";
    UNLINKAT = 263, "unlink";
    SYMLINKAT = 266, "symlink";
    READLINKAT = 267, "readlink";
    FCHMODAT = 268, "chmod";
    FACCESSAT = 269, "access";
    UNSHARE = 272, "unshare";
    UTIMENSAT = 280, "utimensat";
    DUP3 = 292, "dup3";
    PRLIMIT64 = 302, "prlimit";
    SETNS = 308, "setns";
    SCHED_SETATTR = 314, "sched_setattr";
    SECCOMP = 317, "seccomp";
    EXECVEAT = 322, "execve";
    STATX = 332, "statx";
    OPEN_TREE = 428, "open_tree";
    MOVE_MOUNT = 429, "move_mount";
    FSOPEN = 430, "fsopen";
    FSCONFIG = 431, "fsconfig";
    FSMOUNT = 432, "fsmount";
    CLONE3 = 435, "clone3";
    CLOSE_RANGE = 436, "close_range";
    OPENAT2 = 437, "open";
    FACCESSAT2 = 439, "access";
    MOUNT_SETATTR = 442, "mount_setattr";
}

/// The name of the system call with this number, if `init` makes it.
pub fn name(number: u32) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    /// The numbers are those of the C library's headers.
    #[test]
    fn numbers_are_the_kernels() {
        for (number, name) in
            [(super::READ, libc::SYS_read), (super::OPENAT2, libc::SYS_openat2), (super::EXECVE, libc::SYS_execve)]
        {
            assert_eq!(i64::from(number), name);
        }
        assert!(super::NAMES.is_sorted_by(|(one, _), (other, _)| one < other));
    }
}
