//! CRIU's messages (`images/rpc.proto` of CRIU), with the fields that tare sets and reads. An `Option` is an optional field
//! there, a `Vec` a repeated one, everything else is required.

use super::wire::{Encoded, Malformed, Value, WireMessage};

/// Defines messages as structs: each field with its type and its number.
macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $field:ident: $kind:ty = $number:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, PartialEq)]
        pub struct $name {
            $($(#[$about])* pub $field: $kind,)*
        }

        impl WireMessage for $name {
            fn write(&self, out: &mut Vec<u8>) {
                $(self.$field.put($number, out);)*
            }

            fn read(&mut self, number: u64, value: Encoded<'_>) -> Result<(), Malformed> {
                match number {
                    $($number => self.$field.set(value),)*
                    _ => Ok(()),
                }
            }
        }
    )*};
}

messages! {
    /// `criu_req`
    CriuRequest {
        kind: RequestKind = 1,
        options: Option<CriuOptions> = 2,
        notify_success: Option<bool> = 3,
        keep_open: Option<bool> = 4,
        features: Option<CriuFeatures> = 5,
    }
    /// `criu_opts`
    CriuOptions {
        images_dir_fd: i32 = 1,
        pid: Option<i32> = 2,
        leave_running: Option<bool> = 3,
        ext_unix_sk: Option<bool> = 4,
        tcp_established: Option<bool> = 5,
        evasive_devices: Option<bool> = 6,
        shell_job: Option<bool> = 7,
        file_locks: Option<bool> = 8,
        log_level: Option<i32> = 9,
        log_file: Option<String> = 10,
        page_server: Option<CriuPageServer> = 11,
        notify_scripts: Option<bool> = 12,
        root: Option<String> = 13,
        parent_img: Option<String> = 14,
        track_mem: Option<bool> = 15,
        auto_dedup: Option<bool> = 16,
        work_dir_fd: Option<i32> = 17,
        link_remap: Option<bool> = 18,
        manage_cgroups: Option<bool> = 24,
        cgroup_roots: Vec<CriuCgroupRoot> = 25,
        rst_sibling: Option<bool> = 26,
        inherit_fds: Vec<CriuInheritedFd> = 27,
        /// A `CgroupsMode` as a number.
        manage_cgroups_mode: Option<i32> = 34,
        external: Vec<String> = 37,
        /// The flags `CLONE_NEW…` of namespaces that are left empty.
        empty_ns: Option<u32> = 38,
        join_ns: Vec<CriuJoinedNamespace> = 39,
        freeze_cgroup: Option<String> = 44,
        tcp_skip_in_flight: Option<bool> = 46,
        lazy_pages: Option<bool> = 48,
        orphan_pts_master: Option<bool> = 50,
        config_file: Option<String> = 51,
        tcp_close: Option<bool> = 52,
        lsm_profile: Option<String> = 53,
        lsm_mount_context: Option<String> = 63,
    }
    /// `criu_page_server_info`
    CriuPageServer {
        address: Option<String> = 1,
        port: Option<i32> = 2,
    }
    /// `join_namespace`
    CriuJoinedNamespace {
        ns: String = 1,
        ns_file: String = 2,
    }
    /// `inherit_fd`
    CriuInheritedFd {
        key: String = 1,
        fd: i32 = 2,
    }
    /// `cgroup_root`
    CriuCgroupRoot {
        controller: Option<String> = 1,
        path: String = 2,
    }
    /// `criu_features`
    CriuFeatures {
        mem_track: Option<bool> = 1,
        lazy_pages: Option<bool> = 2,
    }
    /// `criu_resp`
    CriuAnswer {
        kind: RequestKind = 1,
        success: bool = 2,
        notify: Option<CriuNotify> = 5,
        /// An errno, positive or negative.
        errno: Option<i32> = 7,
        features: Option<CriuFeatures> = 8,
        version: Option<CriuVersion> = 10,
    }
    /// `criu_notify`
    CriuNotify {
        script: Option<String> = 1,
        pid: Option<i32> = 2,
    }
    /// `criu_version`
    CriuVersion {
        major: i32 = 1,
        minor: i32 = 2,
    }
}

/// `criu_req_type`: the requests that tare makes, and the kinds of answers to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum RequestKind {
    /// An answer to a request that CRIU has not understood.
    #[default]
    Empty = 0,
    Dump = 1,
    Restore = 2,
    PreDump = 4,
    /// CRIU tells about its progress and waits for an answer.
    Notify = 6,
    FeatureCheck = 9,
    Version = 10,
}

impl RequestKind {
    const ALL: [RequestKind; 7] = [
        RequestKind::Empty,
        RequestKind::Dump,
        RequestKind::Restore,
        RequestKind::PreDump,
        RequestKind::Notify,
        RequestKind::FeatureCheck,
        RequestKind::Version,
    ];
}

impl Value for RequestKind {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        (*self as i32).put(number, out);
    }

    fn set(&mut self, value: Encoded<'_>) -> Result<(), Malformed> {
        let mut number = 0;
        number.set(value)?;
        let known = RequestKind::ALL.into_iter().find(|kind| *kind as i32 == number);
        *self = known.ok_or(Malformed("an answer to an unknown request"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request with a value of each type, as `protoc --encode=criu_req` writes it.
    #[test]
    fn a_request_in_bytes() {
        let options = CriuOptions {
            images_dir_fd: 300,
            pid: Some(-1),
            leave_running: Some(false),
            log_file: Some("a.log".to_owned()),
            inherit_fds: vec![CriuInheritedFd { key: "k".to_owned(), fd: 1 }, CriuInheritedFd::default()],
            external: vec!["x".to_owned(), String::new()],
            empty_ns: Some(0x4000_0000),
            lsm_mount_context: Some("é".to_owned()),
            ..CriuOptions::default()
        };
        let request = CriuRequest {
            kind: RequestKind::Restore,
            options: Some(options),
            keep_open: Some(true),
            ..CriuRequest::default()
        };
        let wanted = [
            b"\x08\x02".as_slice(),
            b"\x12\x39",
            b"\x08\xac\x02",
            b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x18\x00",
            b"\x52\x05a.log",
            b"\xda\x01\x05\x0a\x01k\x10\x01",
            b"\xda\x01\x04\x0a\x00\x10\x00",
            b"\xaa\x02\x01x",
            b"\xaa\x02\x00",
            b"\xb0\x02\x80\x80\x80\x80\x04",
            b"\xfa\x03\x02\xc3\xa9",
            b"\x20\x01",
        ]
        .concat();
        assert_eq!(request.to_bytes(), wanted);
        assert_eq!(CriuRequest::parse(&wanted), Ok(request));
    }

    #[test]
    fn an_answer_with_fields_that_are_not_known() {
        let bytes = b"\x08\x06\x10\x01\x2a\x06\x0a\x02go\x10\x07\x4a\x01?\x58\x05\xa1\x06\0\0\0\0\0\0\0\0\xa5\x06\0\0\0\0\x38\xf3\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        let wanted = CriuAnswer {
            kind: RequestKind::Notify,
            success: true,
            notify: Some(CriuNotify { script: Some("go".to_owned()), pid: Some(7) }),
            errno: Some(-13),
            ..CriuAnswer::default()
        };
        assert_eq!(CriuAnswer::parse(bytes), Ok(wanted));
    }

    /// The last value of a field counts.
    #[test]
    fn a_field_twice() {
        let wanted = CriuVersion { major: 4, minor: 0 };
        assert_eq!(CriuVersion::parse(b"\x08\x03\x08\x04"), Ok(wanted));
    }

    #[test]
    fn answers_that_are_refused() {
        for (bytes, wanted) in [
            (b"\x08".as_slice(), "a value is cut off"),
            (b"\x2a\x05\x0a", "a value is cut off"),
            (b"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a value is cut off"),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "a number has more than 64 bits"),
            (b"\x08\x03", "an answer to an unknown request"),
            (b"\x0b", "unknown wire type"),
            (b"\x12\x00", "a field is not a truth value"),
            (b"\x28\x01", "a field is not a message"),
            (b"\x2a\x02\x08\x01", "a field is not a text"),
            (b"\x2a\x03\x0a\x01\xff", "a text is not UTF-8"),
            (b"\x0a\x00", "a field is not a number"),
            (b"\xa5\x06\0\0\0", "a value is cut off"),
        ] {
            assert_eq!(CriuAnswer::parse(bytes), Err(Malformed(wanted)), "{bytes:?}");
        }
    }
}
