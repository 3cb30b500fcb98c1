//! Questions about `linux.uidMappings` and `linux.gidMappings`.

use oci_spec::runtime::LinuxIdMapping;

/// The host's id for an id of the container.
pub fn host_id(maps: &[LinuxIdMapping], id: u32) -> Option<u32> {
    let within =
        |map: &&LinuxIdMapping| (map.container_id()..map.container_id().saturating_add(map.size())).contains(&id);
    maps.iter().find(within).and_then(|map| map.host_id().checked_add(id - map.container_id()))
}

/// Whether the id has no counterpart outside the user namespace with these mappings. Without mappings the answer is no:
/// they are unknown.
pub fn is_unmapped(maps: &[LinuxIdMapping], id: u32) -> bool {
    !maps.is_empty() && host_id(maps, id).is_none()
}

/// The mappings in the format of `/proc/PID/uid_map`.
pub fn lines(maps: &[LinuxIdMapping]) -> String {
    maps.iter().map(|map| format!("{} {} {}\n", map.container_id(), map.host_id(), map.size())).collect()
}
