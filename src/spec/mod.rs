//! `config.json`: loading, checks of the document itself, and the questions about it.

pub mod annotation;
mod bit_list;
mod config;
mod extras;
mod field;
mod ids;
mod limits;
mod load;
pub mod mapping;
mod path;
mod peek;
pub(crate) mod place;
mod process;
mod refusal;
mod shape;
#[cfg(test)]
mod shape_tests;
mod typed;
mod validate;

pub use bit_list::bit_list;
pub use config::{Config, path_of};
pub use extras::Extras;
pub use field::Field;
pub use ids::Ids;
pub use load::{parse, parse_process, parse_resources, read, unknown_properties};
pub use path::{clean, cleaned, is_path};
pub use process::{ExecAffinity, ProcessConfig, ProcessExtras, given};
pub use refusal::{Refusal, visible};
pub(crate) use refusal::{refusal, refuse};
pub use validate::{OCI_VERSION, check_process};
