//! `config.json`: loading, and the checks that need nothing but the document itself.

mod extras;
mod field;
mod load;
mod validate;

pub use extras::Extras;
pub use field::Field;
pub use load::{load, parse, parse_process};
pub use validate::{OCI_VERSION, check_process};
