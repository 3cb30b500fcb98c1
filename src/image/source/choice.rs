//! The choice of one descriptor of an index.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use oci_spec::image::Descriptor;

use super::document;
use crate::image::name::Reference;
use crate::image::platform::Platform;

/// The specification's annotation with a tag.
const TAG: &str = "org.opencontainers.image.ref.name";
/// containerd's and docker's annotation with a whole name, `docker.io/library/app:1.0`.
const NAME: &str = "io.containerd.image.name";
/// docker's annotation of attestations and the like.
const KIND: &str = "vnd.docker.reference.type";

/// The descriptors with the wanted tag or digest; all of them if none is wanted.
///
/// # Errors
/// None has the tag; the error lists the tags.
pub fn by_reference<'a>(descriptors: &'a [Descriptor], wanted: &Reference) -> Result<Vec<&'a Descriptor>> {
    let images = images(descriptors);
    let found: Vec<&Descriptor> = match wanted {
        Reference::Only => {
            let names: BTreeSet<String> = images.clone().flat_map(names).collect();
            let images: Vec<&Descriptor> = images.collect();
            let tags: BTreeSet<&str> =
                images.iter().filter_map(|image| annotation(image, TAG).or_else(|| annotation(image, NAME))).collect();
            let digests: BTreeSet<&str> = images.iter().map(|image| image.digest().as_ref()).collect();
            if tags.len() > 1 && digests.len() > 1 {
                bail!("there are several images, and one has to be chosen by its tag: {}", list(&names));
            }
            images
        }
        Reference::Tag(tag) => {
            let found: Vec<&Descriptor> = images.clone().filter(|image| has_name(image, tag)).collect();
            if found.is_empty() {
                let names: BTreeSet<String> = images.flat_map(names).collect();
                bail!("there is no tag {tag:?}: {}", list(&names));
            }
            found
        }
        Reference::Digest(digest) => images.filter(|image| image.digest().as_ref() == digest.to_string()).collect(),
    };
    Ok(found)
}

/// The descriptors without attestations.
pub fn images(descriptors: &[Descriptor]) -> impl Iterator<Item = &Descriptor> + Clone {
    descriptors.iter().filter(|descriptor| !is_attestation(descriptor))
}

/// The names for the error about a missing tag.
pub fn list(names: &BTreeSet<String>) -> String {
    const SHOWN: usize = 20;
    let quoted = |name: &String| name.escape_debug().to_string();
    let shown: Vec<String> = names.iter().take(SHOWN).map(quoted).collect();
    match names.len() {
        0 => "no image has a tag".to_owned(),
        1..=SHOWN => format!("the tags are {}", shown.join(", ")),
        all => format!("the tags are {} and {} more", shown.join(", "), all - SHOWN),
    }
}

/// Whether a name of docker's form is the wanted one, which may lack the registry, `library/` and the tag `latest`.
/// podman's registry for an image that was built here is `localhost`.
pub fn is_name(name: &str, wanted: &str) -> bool {
    let name = full(name);
    name == full(wanted) || name == full(&format!("localhost/{wanted}"))
}

/// docker's full form of a name: `app` is `docker.io/library/app:latest`.
fn full(name: &str) -> String {
    let (first, rest) = name.split_once('/').unwrap_or(("", name));
    let with_registry = match first.contains(['.', ':']) || first == "localhost" {
        true => name.to_owned(),
        false if first.is_empty() => format!("docker.io/library/{rest}"),
        false => format!("docker.io/{name}"),
    };
    let last = with_registry.rsplit('/').next().unwrap_or_default();
    if last.contains(':') { with_registry } else { format!("{with_registry}:latest") }
}

fn has_name(descriptor: &Descriptor, wanted: &str) -> bool {
    let full_name = |key| annotation(descriptor, key).is_some_and(|name| is_name(name, wanted));
    // The tag of the specification may be a whole name, too.
    annotation(descriptor, TAG) == Some(wanted)
        || full_name(NAME)
        || annotation(descriptor, TAG).is_some_and(|tag| tag.contains([':', '/'])) && full_name(TAG)
}

fn names(descriptor: &Descriptor) -> Vec<String> {
    [TAG, NAME].into_iter().filter_map(|key| annotation(descriptor, key)).map(str::to_owned).collect()
}

fn annotation<'a>(descriptor: &'a Descriptor, key: &str) -> Option<&'a str> {
    descriptor.annotations().as_ref()?.get(key).map(String::as_str)
}

/// Whether a descriptor is docker's attestation about an image.
fn is_attestation(descriptor: &Descriptor) -> bool {
    let unknown = |platform: &oci_spec::image::Platform| {
        platform.os().to_string() == "unknown" || platform.architecture().to_string() == "unknown"
    };
    annotation(descriptor, KIND).is_some() || descriptor.platform().as_ref().is_some_and(unknown)
}

/// The platform that an index says a descriptor has.
pub fn platform(descriptor: &Descriptor) -> Option<Platform> {
    let platform = descriptor.platform().as_ref()?;
    let os = platform.os().to_string();
    Some(Platform::new(&os, &platform.architecture().to_string(), platform.variant().as_deref()))
}

/// The descriptors that fit a platform, the best first. Those without a platform fit, and come last: a look at the
/// image's config decides.
///
/// # Errors
/// A wrong digest; none fits: the error lists the platforms.
pub fn by_platform<'a>(descriptors: &[&'a Descriptor], wanted: &Platform) -> Result<Vec<&'a Descriptor>> {
    let mut fitting = Vec::new();
    let mut others = BTreeSet::new();
    for descriptor in descriptors {
        document::digest(descriptor)?;
        match platform(descriptor) {
            None => fitting.push((u64::MAX, *descriptor)),
            Some(platform) => match wanted.distance(&platform) {
                Some(distance) => fitting.push((distance, *descriptor)),
                None => _ = others.insert(platform.to_string()),
            },
        }
    }
    if fitting.is_empty() {
        let others: Vec<String> = others.into_iter().collect();
        bail!(
            "no image is for {wanted}: {}",
            match &others[..] {
                [] => "the index is empty".to_owned(),
                others => format!("the platforms are {}", others.join(", ")),
            }
        );
    }
    // Stable: the first of two equals is taken, as the specification says.
    fitting.sort_by_key(|(distance, _)| *distance);
    Ok(fitting.into_iter().map(|(_, descriptor)| descriptor).collect())
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn parts_of_a_name_may_be_left_out() {
        for (name, wanted, same) in [
            ("docker.io/library/app:1", "app:1", true),
            ("docker.io/library/app:latest", "app", true),
            ("app:1", "docker.io/library/app:1", true),
            ("docker.io/me/app:1", "me/app:1", true),
            ("localhost/app:1", "app:1", true),
            ("localhost:5000/app:latest", "localhost:5000/app", true),
            ("docker.io/me/app:1", "app:1", false),
            ("quay.io/me/app:1", "me/app:1", false),
            ("docker.io/library/app:1", "app", false),
            ("", "", true),
        ] {
            assert_eq!(is_name(name, wanted), same, "{name} {wanted}");
        }
    }
}
