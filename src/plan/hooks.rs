//! `hooks`

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::spec::{Config, Field, refuse};
use crate::tables::hook;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// The absolute path of the program.
    pub path: PathBuf,
    /// The arguments, including argv[0]; the path if the config has no arguments.
    pub args: Vec<String>,
    /// The whole environment. Without it a startContainer hook gets the environment of the container's process; an
    /// empty list gives an empty environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// The number of seconds after which the hook is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// The hooks of a container, by the moment at which they run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hooks {
    /// The deprecated form of `create_runtime`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prestart: Vec<Hook>,
    /// During `create`, in the runtime's namespaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub create_runtime: Vec<Hook>,
    /// During `create`, in the container's namespaces, before pivot_root.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub create_container: Vec<Hook>,
    /// During `start`, in the container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub start_container: Vec<Hook>,
    /// After the user's program has started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub poststart: Vec<Hook>,
    /// After the container has been deleted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub poststop: Vec<Hook>,
}

impl Hooks {
    /// Checks the hooks of a config.
    pub fn of(config: &Config) -> Result<Hooks> {
        let Some(hooks) = config.hooks() else { return Ok(Hooks::default()) };
        // The field is deprecated, but engines still write it.
        #[allow(deprecated)]
        let prestart = hooks.prestart();
        Ok(Hooks {
            prestart: list(hook::PRESTART, prestart)?,
            create_runtime: list(hook::CREATE_RUNTIME, hooks.create_runtime())?,
            create_container: list(hook::CREATE_CONTAINER, hooks.create_container())?,
            start_container: list(hook::START_CONTAINER, hooks.start_container())?,
            poststart: list(hook::POSTSTART, hooks.poststart())?,
            poststop: list(hook::POSTSTOP, hooks.poststop())?,
        })
    }

    /// Whether `init` must wait for hooks before pivot_root.
    pub fn before_pivot(&self) -> bool {
        !(self.prestart.is_empty() && self.create_runtime.is_empty() && self.create_container.is_empty())
    }
}

fn list(name: &str, hooks: &Option<Vec<oci_spec::runtime::Hook>>) -> Result<Vec<Hook>> {
    let mut list = Vec::new();
    for (index, hook) in hooks.iter().flatten().enumerate() {
        let field = Field::item(format!("hooks.{name}"), index);
        if !hook.path().is_absolute() {
            refuse!(field.member("path"), "{:?} must be an absolute path", hook.path());
        }
        let timeout = match hook.timeout() {
            None => None,
            Some(seconds) if seconds > 0 => Some(seconds as u64),
            Some(seconds) => refuse!(field.member("timeout"), "{seconds} must be greater than zero"),
        };
        let texts = hook.args().iter().flatten().chain(hook.env().iter().flatten());
        if texts.into_iter().any(|text| text.contains('\0')) {
            refuse!(field, "contains a NUL byte");
        }
        let args = match hook.args() {
            Some(args) if !args.is_empty() => args.clone(),
            _ => vec![hook.path().to_string_lossy().into_owned()],
        };
        list.push(Hook { path: hook.path().clone(), args, env: hook.env().clone(), timeout });
    }
    Ok(list)
}
