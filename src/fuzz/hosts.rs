//! Imaginary hosts.

/// `/proc/self/mountinfo` and `/proc/self/cgroup` of a host on which v2 is the only hierarchy.
pub const UNIFIED: (&str, &str) = ("25 23 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/\n");

/// The same of a host with v1 hierarchies and v2 beside them.
pub const HYBRID: (&str, &str) = (
    "\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
34 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
35 31 0:32 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices
36 31 0:33 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
37 31 0:34 / /sys/fs/cgroup/net_cls,net_prio rw - cgroup cgroup rw,net_cls,net_prio
38 31 0:35 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio
39 31 0:36 / /sys/fs/cgroup/hugetlb rw - cgroup cgroup rw,hugetlb
40 31 0:37 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
42 31 0:39 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
",
    "\
10:name=systemd:/
9:pids:/
8:hugetlb:/
7:blkio:/
6:net_cls,net_prio:/
5:freezer:/
4:devices:/
3:memory:/
2:cpuset:/
1:cpu,cpuacct:/
0::/
",
);
