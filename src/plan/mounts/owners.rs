//! The owners of an id-mapped mount.

use anyhow::Result;
use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType as Kind, Mount};

use super::super::context::Context;
use super::super::id_map::{IdMap, Owners};
use super::options::MountOptions;
use crate::spec::{Field, mapping, refusal, refuse};

/// Whether the config has id mappings for this mount.
pub fn has_mappings(mount: &Mount) -> bool {
    mount.uid_mappings().as_ref().is_some_and(|maps| !maps.is_empty())
        || mount.gid_mappings().as_ref().is_some_and(|maps| !maps.is_empty())
}

/// The owners of an id-mapped bind mount: the mappings of the mount or, with the option `idmap` alone, those of the
/// container.
pub fn id_map(
    context: &Context<'_>,
    mount: &Mount,
    options: &MountOptions<'_>,
    field: &Field,
) -> Result<Option<IdMap>> {
    let (uid, gid) =
        (mount.uid_mappings().as_deref().unwrap_or_default(), mount.gid_mappings().as_deref().unwrap_or_default());
    if uid.is_empty() != gid.is_empty() {
        refuse!(field, "id-mapped mounts must have both uid and gid mappings specified");
    }
    if uid.is_empty() && options.id_map.is_none() {
        return Ok(None);
    }
    if context.facts.caller.euid != 0 {
        refuse!(field, "id-mapped mounts are not supported for rootless containers");
    }
    let recursive = options.id_map.unwrap_or(false);
    let maps =
        |uid, gid| IdMap { owners: Owners::Maps { uid: mapping::lines(uid), gid: mapping::lines(gid) }, recursive };
    if let Some(text) = options.id_map_text {
        if !uid.is_empty() {
            refuse!(field.member("options"), "idmap has mappings, and so has the mount");
        }
        let (uid, gid) =
            inline_maps(context, text).map_err(|why| refusal!(field.member("options"), "idmap={text}: {why}"))?;
        return Ok(Some(IdMap { owners: Owners::Maps { uid, gid }, recursive }));
    }
    if !uid.is_empty() {
        return Ok(Some(maps(uid, gid)));
    }
    let (uid, gid) = (context.config.uid_mappings(), context.config.gid_mappings());
    match context.config.joins(Kind::User) {
        _ if !uid.is_empty() && !gid.is_empty() => Ok(Some(maps(uid, gid))),
        Some(path) => Ok(Some(IdMap { owners: Owners::Joined(path.to_owned()), recursive })),
        None => refuse!(field.member("options"), "idmap needs mappings, of the mount or of the container"),
    }
}

/// The mappings in crun's `idmap=uids=0-1000-1#1-2000-10;gids=@0-0-100`: first id of the file system, first id of the
/// host, count. With `@` the second number is an id of the container.
fn inline_maps(context: &Context<'_>, text: &str) -> Result<(String, String), String> {
    let (mut uid, mut gid) = (None, None);
    for part in text.split(';').filter(|part| !part.is_empty()) {
        let (lines, maps, list) = match part.split_once('=') {
            Some(("uids", list)) => (&mut uid, context.config.uid_mappings(), list),
            Some(("gids", list)) => (&mut gid, context.config.gid_mappings(), list),
            _ => return Err(format!("{part:?} is neither uids= nor gids=")),
        };
        let triplets = list.split('#').map(|triplet| inline_map(triplet, maps));
        *lines = Some(triplets.collect::<Result<String, String>>()?);
    }
    match (uid, gid) {
        (Some(uid), Some(gid)) => Ok((uid, gid)),
        _ => Err("id-mapped mounts must have both uid and gid mappings specified".to_owned()),
    }
}

/// Translates one range to a line for `/proc/PID/uid_map`.
fn inline_map(triplet: &str, container: &[LinuxIdMapping]) -> Result<String, String> {
    let (relative, numbers) = triplet.strip_prefix('@').map_or((false, triplet), |numbers| (true, numbers));
    let numbers: Option<Vec<u32>> = numbers.split('-').map(|number| number.parse().ok()).collect();
    let Some([inside, mut outside, size]) = numbers.and_then(|numbers| <[u32; 3]>::try_from(numbers).ok()) else {
        return Err(format!("invalid mapping specified \"{triplet}\""));
    };
    if relative {
        let holds = |map: &&LinuxIdMapping| {
            outside >= map.container_id()
                && u64::from(outside) + u64::from(size) <= u64::from(map.container_id()) + u64::from(map.size())
        };
        let Some(map) = container.iter().find(holds) else {
            return Err(format!("\"{triplet}\": the container's user namespace has no such range"));
        };
        outside = map.host_id() + (outside - map.container_id());
    }
    Ok(format!("{inside} {outside} {size}\n"))
}
