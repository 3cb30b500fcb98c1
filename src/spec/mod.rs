//! `config.json`: loading, and the checks that need nothing but the document itself.

pub mod annotation;
mod bit_list;
mod extras;
mod field;
mod limits;
mod load;
mod shape;
mod validate;

pub use bit_list::bit_list;
pub use extras::Extras;
pub use field::Field;
pub use load::{load, parse, parse_process, parse_resources, read, unknown_properties};
pub use validate::{OCI_VERSION, check_process};
