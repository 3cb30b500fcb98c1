//! `process.execCPUAffinity`.

use anyhow::Result;

use super::super::program::Program;
use crate::init::op;
use crate::spec::{Field, bit_list, refusal};

/// Allows the process every CPU. The kernel reduces the mask to the CPUs of the cpuset.
pub fn all_cpus(program: &mut Program, field: &Field) {
    let mask = program.words(&[u64::MAX; 16]);
    program.push(field, op::Enter::Affinity { mask });
}

/// Allows the process the CPUs of `list`; without a list, every CPU of its cpuset.
pub fn affinity(program: &mut Program, key: &'static str, list: Option<&str>) -> Result<()> {
    let field = Field::of(key);
    match list {
        None => all_cpus(program, &field),
        Some(list) => {
            let words = bit_list(list).ok_or_else(|| refusal!(&field, "\"{list}\" is not a list of CPUs"))?;
            let mask = program.words(&words);
            program.push(&field, op::Enter::Affinity { mask });
        }
    }
    Ok(())
}
