//! Platforms: operating system, architecture and its variant.

use std::fmt;

use anyhow::{Result, bail};

/// A platform that an image must be for, such as `linux/arm/v7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// The operating system: always `linux`.
    pub os: String,
    /// The architecture in Go's words: `amd64`.
    pub architecture: String,
    /// The variant of the architecture.
    pub variant: Option<String>,
}

impl Platform {
    /// The platform that this program was built for.
    pub fn host() -> Platform {
        Platform::new("linux", std::env::consts::ARCH, None)
    }

    /// Reads `OS/ARCHITECTURE` or `OS/ARCHITECTURE/VARIANT`.
    ///
    /// # Errors
    /// Another form; an operating system other than `linux`.
    pub fn parse(text: &str) -> Result<Platform> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => bail!("platform {text:?}: the form is OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT"),
        };
        let is_name = |part: &&str| !part.is_empty() && part.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
        if !parts.iter().all(is_name) {
            bail!("platform {text:?}: the form is OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT");
        }
        if os != "linux" {
            bail!("platform {text:?}: only containers of linux are run");
        }
        Ok(Platform::new(os, architecture, variant))
    }

    /// A platform with the usual words: other names of an architecture are replaced, and a variant that is the
    /// architecture's default is left out, or for `arm`, added.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
        let variant = variant.filter(|variant| !variant.is_empty());
        let (architecture, variant) = match (architecture, variant) {
            ("x86_64" | "x86-64" | "amd64", Some("v1")) => ("amd64", None),
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("x86" | "i386" | "i486" | "i586" | "i686", variant) => ("386", variant),
            ("aarch64" | "arm64", Some("v8" | "8")) => ("arm64", None),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", None) => ("arm", Some("v7")),
            ("armel", None) => ("arm", Some("v6")),
            ("arm", None) => ("arm", Some("v7")),
            ("arm", Some("5")) => ("arm", Some("v5")),
            ("arm", Some("6")) => ("arm", Some("v6")),
            ("arm", Some("7")) => ("arm", Some("v7")),
            ("arm", Some("8")) => ("arm", Some("v8")),
            ("powerpc64le", variant) => ("ppc64le", variant),
            other => other,
        };
        Platform { os: os.to_owned(), architecture: architecture.to_owned(), variant: variant.map(str::to_owned) }
    }

    /// The distance to an image's platform, if an image of that platform runs here: an older variant runs, and the newest
    /// of those is the best. An image that does not name its architecture or operating system is the last choice.
    pub fn distance(&self, image: &Platform) -> Option<u64> {
        let unnamed = [&image.os, &image.architecture].iter().filter(|name| name.is_empty()).count() as u64;
        let same = |own: &str, other: &str| other.is_empty() || own == other;
        if !same(&self.os, &image.os) || !same(&self.architecture, &image.architecture) {
            return None;
        }
        let level = |variant: &Option<String>| match variant {
            None => Some(if self.architecture == "arm64" { 8 } else { 1 }),
            Some(variant) => variant.strip_prefix('v').and_then(|level| level.parse::<u64>().ok()),
        };
        let distance = match (level(&self.variant), level(&image.variant)) {
            _ if self.variant == image.variant => 0,
            (Some(own), Some(other)) => own.checked_sub(other)?,
            _ if image.variant.is_none() => 1,
            _ => return None,
        };
        Some(distance.saturating_add(unnamed * 1000))
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The words may be an image's.
        write!(f, "{}/{}", self.os.escape_debug(), self.architecture.escape_debug())?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{}", variant.escape_debug()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_platforms() {
        for (text, platform) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/aarch64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("linux/newchip", "linux/newchip"),
        ] {
            assert_eq!(Platform::parse(text).unwrap().to_string(), platform);
        }
        for (text, part) in [
            ("amd64", "the form is"),
            ("linux/a/b/c", "the form is"),
            ("linux/", "the form is"),
            ("linux/../x", "the form is"),
            ("windows/amd64", "only containers of linux"),
        ] {
            let message = Platform::parse(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn an_older_variant_runs() {
        let distance = |own: &str, image: &str| {
            let parts: Vec<&str> = image.split('/').collect();
            Platform::parse(own).unwrap().distance(&Platform::new(parts[0], parts[1], parts.get(2).copied()))
        };
        for (own, image, wanted) in [
            ("linux/amd64", "linux/amd64", Some(0)),
            ("linux/amd64", "linux/amd64/v1", Some(0)),
            ("linux/amd64", "linux/amd64/v2", None),
            ("linux/amd64/v3", "linux/amd64/v2", Some(1)),
            ("linux/amd64/v3", "linux/amd64", Some(2)),
            ("linux/arm/v7", "linux/arm/v6", Some(1)),
            ("linux/arm/v8", "linux/arm/v5", Some(3)),
            ("linux/arm/v6", "linux/arm/v7", None),
            ("linux/arm64", "linux/arm64/v8", Some(0)),
            ("linux/arm64", "linux/arm64/v9", None),
            ("linux/arm64/v9", "linux/arm64", Some(1)),
            ("linux/arm64", "linux/amd64", None),
            ("linux/amd64", "windows/amd64", None),
            ("linux/amd64", "linux/", Some(1000)),
            ("linux/amd64", "unknown/unknown", None),
        ] {
            assert_eq!(distance(own, image), wanted, "{own} {image}");
        }
    }
}
