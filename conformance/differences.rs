//! The known differences between runtimes, and their reasons. A test that is listed here must fail: if it passes, the
//! run fails ("difference gone"), so the table stays true.

use anyhow::ensure;

pub struct Difference {
    runtime: &'static str,
    test: &'static str,
    pub reason: &'static str,
    /// Whether the test fails each time; if it passes, the table is wrong.
    pub always: bool,
}

const fn differs(runtime: &'static str, test: &'static str, reason: &'static str) -> Difference {
    Difference { runtime, test, reason, always: true }
}

/// A difference that does not show in each run: a race, or something that depends on the machine's cgroups.
const fn may_differ(runtime: &'static str, test: &'static str, reason: &'static str) -> Difference {
    Difference { runtime, test, reason, always: false }
}

const DIFFERENCES: &[Difference] = &[
    differs(
        "runc",
        "delete::removes_a_state_directory_with_broken_state",
        "1.3 stops at a state.json that it cannot read",
    ),
    differs("runc", "exec::process_file_without_env_gets_home", "regression of 1.3.0 to 1.5.1 (runc#5265)"),
    differs("runc", "errors::nul_byte_in_the_hostname", "accepts it"),
    differs("runc", "errors::oci_version_missing", "ignores ociVersion"),
    differs("runc", "errors::oci_version_unknown", "ignores ociVersion"),
    differs("runc", "errors::oci_version_is_no_version", "ignores ociVersion"),
    differs(
        "runc",
        "seccomp::errno_for_an_action_without",
        "ignores the errno, where the specification demands an error",
    ),
    differs("runc", "seccomp::listener_metadata_without_a_listener", "ignores it"),
    may_differ("runc", "cgroups::controllers_that_somebody_takes_away", "enables controllers once"),
    differs("runc", "seccomp::notify_of_an_ordinary_users_exec", "pidfd_getfd fails: the process is not dumpable"),
    differs("runc", "hooks::poststart_runs_after_start_container", "up to 1.5 poststart hooks run at create"),
    differs("runc", "hooks::create_runs_its_hooks_and_no_others", "up to 1.5 poststart hooks run at create"),
    differs("runc", "hooks::status_at_poststart", "up to 1.5 poststart hooks run at create"),
    differs(
        "runc",
        "hooks::poststart_may_wait_for_a_program_that_writes_much",
        "up to 1.5 poststart hooks run at create",
    ),
    differs("runc", "hooks::poststart_failure", "up to 1.5 poststart hooks run at create"),
    differs("runc", "hooks::environment_absent_is_empty", "gives a hook without env its own environment"),
    differs("runc", "hooks::descriptors_are_closed_for_create_container", "leaks its own descriptors"),
    may_differ("runc", "systemd::limits_are_in_both_places", "on v2 it leaves the quota rounded up to whole percents"),
    may_differ("runc", "systemd::update_tells_systemd", "on v2 it leaves the quota rounded up to whole percents"),
    differs("runc", "systemd::delete_ends_who_has_moved_in", "has systemd stop the unit, and waits for its timeout"),
    may_differ("runc", "systemd::update_that_fails_is_undone", "on v2 it keeps what it set before the failure"),
    may_differ("runc", "systemd_faults::reload_loses_nothing", "does not tell systemd of memory.oom.group (v2)"),
    may_differ("runc", "systemd_faults::new_manager_loses_nothing", "does not tell systemd of memory.oom.group (v2)"),
    may_differ(
        "runc",
        "systemd_faults::update_leaves_the_rest_alone",
        "does not tell systemd of memory.oom.group (v2)",
    ),
    differs("runc", "systemd_faults::bus_that_closes_during_create", "ignores some failures of the bus"),
    differs("runc", "systemd_faults::bus_that_closes_during_update", "leaves the new limit in the kernel's file"),
    differs("runc", "systemd_faults::bus_that_is_silent", "waits for ever"),
    differs(
        "runc",
        "systemd::user_has_a_manager_of_his_own",
        "up to 1.4 exec stays outside the scope (since 1.5 it asks systemd)",
    ),
    may_differ("runc", "process::ignored_signals_of_the_caller_are_reset", "SIGHUP stays ignored if init is early"),
    may_differ(
        "runc",
        "leftovers::killed_create_can_be_deleted",
        "makes cgroups before it writes the state (runc#4534)",
    ),
    may_differ(
        "runc",
        "leftovers::killed_create_can_be_deleted_in_the_unified_view",
        "makes cgroups before it writes the state (runc#4534)",
    ),
    differs("runc", "ownership::kill_of_stopped_spares_who_took_over_the_cgroup", "kills all processes of the cgroup"),
    differs("runc", "ownership::from_another_pid_namespace", "takes a process that it cannot see for dead"),
    differs("runc", "ownership::from_another_time_namespace", "takes a process with another start time for dead"),
    differs("runc", "ownership::main_thread_that_has_ended", "takes a zombie for dead although its threads run"),
    differs("runc", "ownership::record_of_another_program", "delete --force refuses it, too"),
    differs("runc", "ownership::empty_record", "no command can remove it"),
    differs("runc", "ownership::record_of_a_newer_version", "its record has no version of its format"),
    differs("runc", "ownership::directory_of_another_program", "removes the directory with all files"),
    differs(
        "runc",
        "ownership::gate_is_the_runtimes_own",
        "init opens the gate by name, so it has mode 0622 and belongs to the container",
    ),
    differs("runc", "ownership::pid_file_of_somebody_else", "takes the file for its own temporary one, and fails"),
    differs("runc", "namespaces::user_mapping_without_namespace", "ignores the mappings"),
    differs("runc", "features::of_memory_policy", "came with 1.4"),
    differs("runc", "delete::all_goes_though_a_poststop_hook_fails", "stops at the first hook that fails"),
    differs("runc", "delete::poststop_failure_is_a_warning", "fails although everything is removed"),
    differs("runc", "process::env_absent", "regression of 1.3.0 to 1.5.1 (runc#5265)"),
    differs("runc", "exec::capability_where_none_is_configured", "1.3 dereferences a nil pointer"),
    differs("runc", "process::rlimit_twice", "takes the last one, where the specification demands an error"),
    differs("runc", "process::memory_policy", "came with 1.4"),
    differs("runc", "rootfs::device_without_numbers", "makes a device 0:0"),
    may_differ("runc", "start::race_has_one_winner", "a start that loses the race can wait for ever"),
    differs("runc", "mount_words::flags_of_the_superblock", "passes acl and noacl to every file system"),
    differs(
        "runc",
        "mounts::read_only_at_the_end_is_of_its_own_mount",
        "makes the mount read-only that is at the path by then",
    ),
    differs(
        "runc",
        "mounts::cgroup_read_only_below_a_later_mount",
        "1.3 leaves the tmpfs around the v1 mounts writable",
    ),
    differs("runc", "rootfs::read_only_path_that_climbs_to_the_root", "binds the root on itself, which has no effect"),
    differs("runc", "rootfs::device_where_another_file_is", "leaves the file without an error"),
    differs("runc", "rootfs::default_device_where_a_file_is", "leaves the file without an error"),
    differs(
        "runc",
        "rootfs::device_of_a_user_namespace_is_its_own",
        "binds the host's file at that path, of whatever type",
    ),
    differs("runc", "rootfs::devices_below_a_link_to_a_volume", "makes nodes in the host's directory"),
    differs("runc", "rootfs::devices_where_a_volume_covers_dev_through_a_link", "makes nodes in the host's directory"),
    differs("runc", "rootfs::null_device_of_the_host_is_not_handed_on", "1.3 passes it on"),
    differs("runc", "features::mount_options_are_accepted", "lists `defaults` and refuses it"),
    differs("runc", "run::preserve_fds_with_holes", "demands that all are open"),
    differs("runc", "exec::preserve_fds_with_holes", "demands that all are open"),
    differs("runc", "seccomp::what_forbids_the_program_itself", "its init loops if exit_group is forbidden"),
    may_differ("runc", "process::init_is_not_for_its_user_to_look_into", "init is dumpable if fs.suid_dumpable is 1"),
    differs("runc", "exec::rights_of_what_is_about_to_join", "enters the pid namespace with all capabilities"),
    differs("runc", "run::callers_with_low_limits", "executes itself again, with too few descriptors"),
    differs("runc", "namespaces::join_path_that_is_a_fifo", "blocks in open(2) of the fifo"),
    differs("runc", "namespaces::sysctl_and_domainname", "takes the sysctl without an error"),
    differs("runc", "namespaces::sysctl_of_the_callers_own_namespace", "compares network namespaces only"),
    differs("runc", "namespaces::names_of_the_callers_own_namespace", "compares network namespaces only"),
    differs(
        "runc",
        "namespaces::sysctl_past_what_is_mounted_in_the_joined_namespace",
        "fails at links in /dev that exist already",
    ),
    may_differ(
        "runc",
        "exec::limit_of_processes_is_named",
        "moves the process into the cgroup, which no limit prevents",
    ),
    differs("runc", "exec::process_file_without_no_new_privileges", "a field that the file lacks is false"),
    differs("runc", "exec::process_file_with_an_umask", "takes the container's value"),
    differs("runc", "exec::process_file_with_an_oom_score", "takes the container's value"),
    differs(
        "runc",
        "process::capability_that_another_set_lacks_is_a_warning",
        "fails, where the specification demands a warning",
    ),
    may_differ(
        "runc",
        "escapes::proc_exchanged_with_a_link",
        "mounts by a path that has been checked before, so /proc can become a link in between",
    ),
    differs("runc", "escapes::rootless_cgroups_are_not_writable", "1.3 leaves the tmpfs around the v1 mounts writable"),
    differs("runc", "run::every_catchable_signal_is_forwarded", "Go keeps SIGPROF for its profiler"),
    differs("runc", "sockets::pidfd_socket_that_does_not_answer", "leaves its state directory behind"),
    differs("runc", "callers::conmon_terminal_that_fails", "connects to the console socket before it has a terminal"),
    differs("runc", "sockets::sockets_with_long_paths", "connects by the long path"),
    differs("runc", "sockets::notify_manager_that_is_not_there", "start fails, and the container runs"),
    differs(
        "runc",
        "namespaces::join_user_with_its_own_mappings_without_a_word",
        "warns that an engine should give only one of the two",
    ),
    differs("runc", "cli::output_of_any_command_that_cannot_be_written", "checks the output of list and features only"),
    differs("runc", "cgroups::sub_cgroups_deeper_than_a_path", "uses paths (v1, and v2 before cgroup.kill)"),
    differs("runc", "cgroups::no_hierarchy_for_the_rootless", "needs /sys/fs/cgroup even if it uses no cgroup"),
    may_differ("runc", "cgroups::file_in_place_of_a_cgroup", "leaves its state directory behind"),
    differs("runc", "cgroups::exec_in_a_neighbours_cgroup", "compares names as text up to 1.5.1 (runc#5351)"),
    differs("runc", "resources::pids_limit_of_zero_at_create", "came with 1.4"),
    differs("runc", "resources::pids_limit_of_zero_by_update", "came with 1.4"),
    may_differ("runc", "resources::memory_kernel_tcp_at_create", "ignores kernelTCP"),
    may_differ("runc", "resources::memory_kernel_tcp_by_update", "ignores kernelTCP"),
    may_differ("runc", "resources::memory_swappiness_by_update", "update ignores swappiness"),
    may_differ("runc", "resources::memory_disable_oom_killer_by_update", "update ignores disableOOMKiller"),
    may_differ(
        "runc",
        "resources::hugepage_limits_at_create",
        "on a hybrid machine it looks for controllers in v1 only",
    ),
    may_differ("runc", "resources::hugepage_limits_by_update", "update ignores hugepageLimits"),
    may_differ(
        "runc",
        "resources::hugepage_limits_of_reserved_pages_at_create",
        "on a hybrid machine it looks for controllers in v1 only",
    ),
    may_differ("runc", "resources::hugepage_limits_of_reserved_pages_by_update", "update ignores hugepageLimits"),
    may_differ("runc", "resources::unified_cgroup_max_depth_at_create", "on a hybrid machine it writes no files of v2"),
    may_differ("runc", "resources::unified_cgroup_max_depth_by_update", "on a hybrid machine it writes no files of v2"),
    may_differ("runc", "resources::unified_hugetlb_at_create", "on a hybrid machine it writes no files of v2"),
    may_differ("runc", "resources::unified_hugetlb_by_update", "on a hybrid machine it writes no files of v2"),
    may_differ("runc", "limits::memory_too_little_to_begin", "joins the cgroup before it sets the limit (v1)"),
    may_differ(
        "runc",
        "limits::pids_count_what_exec_adds",
        "moves the process into the cgroup, which no limit prevents (v1)",
    ),
    may_differ("runc", "limits::paused_uses_no_cpu", "gives up freezing on a busy machine (v1)"),
    differs("runc", "hierarchies::no_device_program_when_all_is_allowed", "loads one that allows everything"),
    differs("runc", "hierarchies::owner_is_the_containers_root", "delegates only cgroups that systemd has made"),
    differs("runc", "update::idle_and_shares", "does not restore the shares"),
    differs("runc", "events::ends_with_the_container_in_the_unified_view", "needs a memory controller"),
    differs(
        "runc",
        "events::ends_with_its_reader_while_it_waits",
        "notices that its reader is gone only when it writes",
    ),
    differs("runc", "checkpoint::mounts_are_what_they_were", "1.3 shows its own cgroups (v1) to a restored container"),
    differs("runc", "checkpoint::restore_that_is_killed", "its mount of the root file system stays on the host"),
    may_differ(
        "runc",
        "checkpoint::restore_in_front_returns_the_status",
        "if the container is killed before it runs on, runc waits for ever",
    ),
    differs("runc", "checkpoint::a_connection_survives", "1.3 restores no network interfaces, not even loopback"),
    differs(
        "runc",
        "checkpoint::a_container_in_a_user_namespace",
        "the container's root may not search the image directory, which has mode 0700",
    ),
    may_differ("runc", "lacking::without_openat2", "warns that openat2 is forbidden"),
    may_differ("runc", "lacking::without_clone3", "the C library starts no thread if clone3 answers EPERM"),
    may_differ("runc", "lacking::without_any_of_them", "the C library starts no thread if clone3 answers EPERM"),
    may_differ("runc", "labels::process_file_with_a_label", "1.3 runs a process file without a profile unconfined"),
    may_differ("crun", "labels::label_of_the_other_module", "ignores a label if SELinux is not active"),
    differs("crun", "labels::label_without_a_policy", "ignores a label if SELinux has no policy"),
    may_differ("crun", "labels::keyring_has_the_label", "exec gives the keyring no label"),
    may_differ("crun", "labels::mount_label_of_masked_directories", "gives them no label"),
    may_differ("crun", "labels::mount_label_by_mount", "gives masked directories no label"),
    may_differ("crun", "labels::mount_label_of_an_added_mount", "gives it no label"),
];

/// The difference of this runtime in this test, if one is known.
pub fn find(runtime: &str, test: &str) -> Option<&'static Difference> {
    DIFFERENCES.iter().find(|entry| entry.runtime == runtime && entry.test == test)
}

/// Fails unless every entry names a test that exists.
pub fn check_names<'a>(tests: impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
    let tests: Vec<&str> = tests.collect();
    for entry in DIFFERENCES {
        ensure!(tests.contains(&entry.test), "differences.rs lists {}, and there is no such test", entry.test);
    }
    Ok(())
}
