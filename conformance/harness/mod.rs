//! The tools of the tests: bundles, containers, calls of the runtime, checks.

pub mod accounts;
pub mod agent;
pub mod answers;
pub mod bundle;
pub mod bus;
pub mod call;
pub mod callers;
pub mod check;
pub mod container;
pub mod disk;
pub mod exchange;
pub mod image;
pub mod injector;
pub mod lacking;
pub mod machine;
pub mod payload;
pub mod reaper;
pub mod runtime;
pub mod scope;
pub mod stage;
pub mod terminal;
pub mod tracer;
pub mod tree;

pub use accounts::with_accounts;
pub use agent::{Agent, Verdict};
pub use bundle::Bundle;
pub use call::{Call, Output, Running};
pub use callers::{Conmon, Ctr};
pub use check::{Skip, contains, equal, eventually, names_field, skip};
pub use container::Container;
pub use disk::Disk;
pub use exchange::Exchange;
pub use machine::{View, has_namespace};
pub use serde_json::{Value, json};
pub use stage::Stage;
pub use terminal::{Receiver, Terminal, at_terminal, pid_behind};
pub use tracer::{Fault, Reached};

/// The result of a test: nothing, a failure, or a [`Skip`] with its reason.
pub type Result<T = ()> = anyhow::Result<T>;

pub struct Test {
    pub module: &'static str,
    pub function: &'static str,
    pub run: fn() -> Result,
}

impl Test {
    /// The name as in a filter and in the table of differences: `create::state_of_created`.
    pub fn name(&self) -> String {
        let module = self.module.rsplit("::").next().unwrap_or_default();
        format!("{module}::{}", self.function)
    }
}

/// Lists a module's tests in `TESTS`. The compiler warns of a test that is missing in the list.
macro_rules! tests {
    ($($function:ident),+ $(,)?) => {
        pub const TESTS: &[crate::harness::Test] = &[$(crate::harness::Test {
            module: module_path!(),
            function: stringify!($function),
            run: $function,
        }),+];
    };
}
pub(crate) use tests;
