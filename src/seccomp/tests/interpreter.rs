//! The kernel's side of a filter: the checks of a program, and its execution.

use super::super::MAX_INSTRUCTIONS;

/// The data of a system call that a filter sees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) arch: u32,
    pub(super) number: u32,
    pub(super) args: [u64; 6],
}

/// One decoded instruction: code, jt, jf, k.
pub(super) type Step = (u16, usize, usize, u32);

pub(super) fn decode(program: &[u64]) -> Vec<Step> {
    let step = |word: &u64| {
        let [c0, c1, jt, jf, k0, k1, k2, k3] = word.to_ne_bytes();
        (u16::from_ne_bytes([c0, c1]), jt.into(), jf.into(), u32::from_ne_bytes([k0, k1, k2, k3]))
    };
    program.iter().map(step).collect()
}

/// Makes the checks that the kernel makes before it accepts a program.
pub(super) fn assert_acceptable(program: &[Step]) {
    assert!((1..=MAX_INSTRUCTIONS).contains(&program.len()), "{} instructions", program.len());
    assert_eq!(program.last().unwrap().0, 0x06, "the last instruction is no return");
    for (at, &(code, jt, jf, k)) in program.iter().enumerate() {
        match code {
            0x06 | 0x54 => {}
            0x20 => assert!(k % 4 == 0 && k < 64, "load from {k}"),
            0x05 => assert!(at + 1 + (k as usize) < program.len(), "jump out of the program at {at}"),
            0x15 | 0x25 | 0x35 | 0x45 => {
                assert!(at + 1 + jt.max(jf) < program.len(), "branch out of the program at {at}")
            }
            _ => panic!("unexpected instruction {code:#x} at {at}"),
        }
    }
}

/// Runs a program. Returns the action and the number of executed instructions.
pub(super) fn run(program: &[Step], call: &Call) -> (u32, usize) {
    let (mut at, mut word, mut steps) = (0, 0, 0);
    loop {
        let (code, jt, jf, k) = program[at];
        at += 1;
        steps += 1;
        match code {
            0x06 => return (k, steps),
            0x20 => word = load(call, k),
            0x54 => word &= k,
            0x05 => at += k as usize,
            0x15 => at += if word == k { jt } else { jf },
            0x25 => at += if word > k { jt } else { jf },
            0x35 => at += if word >= k { jt } else { jf },
            0x45 => at += if word & k != 0 { jt } else { jf },
            _ => panic!("unexpected instruction {code:#x}"),
        }
    }
}

fn load(call: &Call, offset: u32) -> u32 {
    let arg = call.args[(offset.saturating_sub(16) / 8) as usize];
    match offset {
        0 => call.number,
        4 => call.arch,
        16.. if offset.is_multiple_of(8) => arg as u32,
        16.. => (arg >> 32) as u32,
        _ => panic!("load from {offset}"),
    }
}
