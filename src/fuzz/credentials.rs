//! The credentials of a process of the pretended kernel (capabilities(7)).

use crate::init::calls;
use crate::init::fake::MadeCall;

const EPERM: isize = -1;
const EINVAL: isize = -22;
/// The last capability of the pretended kernel.
const LAST: usize = 40;

/// The ids and capabilities of a process.
#[derive(Debug)]
pub struct Credentials {
    pub uid: u32,
    pub gid: u32,
    /// The groups, once they are set.
    pub groups: Option<Vec<u32>>,
    pub bounding: u64,
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
    pub ambient: u64,
    pub no_new_privileges: bool,
    pub keeps_capabilities: bool,
    pub filtered: bool,
}

impl Credentials {
    /// Those of root.
    pub fn of_root() -> Credentials {
        let all = (1 << (LAST + 1)) - 1;
        Credentials {
            uid: 0,
            gid: 0,
            groups: None,
            bounding: all,
            effective: all,
            permitted: all,
            inheritable: all,
            ambient: 0,
            no_new_privileges: false,
            keeps_capabilities: false,
            filtered: false,
        }
    }

    /// Carries out a call; `None` if it is about something else.
    pub fn call(&mut self, call: &MadeCall) -> Option<isize> {
        let [first, second, third, ..] = call.arguments;
        Some(match call.number {
            calls::SETRESUID => self.set_uid(first as u32),
            calls::SETRESGID => {
                self.gid = first as u32;
                0
            }
            calls::SETGROUPS => {
                let numbers = if first == 0 { Vec::new() } else { call.bytes(1, first * 4) };
                let number = |bytes: &[u8]| u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                self.groups = Some(numbers.chunks_exact(4).map(number).collect());
                0
            }
            calls::CAPGET => {
                call.fill(1, &words([self.effective, self.permitted, self.inheritable]));
                0
            }
            calls::CAPSET => self.set_capabilities(&call.bytes(1, 24)),
            calls::PRCTL => self.prctl(first, second, third),
            _ => return None,
        })
    }

    fn set_uid(&mut self, uid: u32) -> isize {
        if self.uid == 0 && uid != 0 {
            (self.effective, self.ambient) = (0, 0);
            if !self.keeps_capabilities {
                self.permitted = 0;
            }
        }
        self.uid = uid;
        0
    }

    fn set_capabilities(&mut self, data: &[u8]) -> isize {
        let word = |at: usize| u64::from(u32::from_ne_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]));
        let set = |at: usize| word(at) | word(at + 12) << 32;
        let (effective, permitted, inheritable) = (set(0), set(4), set(8));
        let allowed = self.inheritable | self.permitted & self.bounding;
        if permitted & !self.permitted != 0 || effective & !permitted != 0 || inheritable & !allowed != 0 {
            return EPERM;
        }
        (self.effective, self.permitted, self.inheritable) = (effective, permitted, inheritable);
        self.ambient &= permitted & inheritable;
        0
    }

    fn prctl(&mut self, option: usize, argument: usize, capability: usize) -> isize {
        match (option, argument) {
            (23, _) => return (self.bounding >> argument & 1) as isize,
            (24, LAST..) if argument > LAST => return EINVAL,
            (24, _) => self.bounding &= !(1 << argument),
            (8, _) => self.keeps_capabilities = argument == 1,
            (38, _) => self.no_new_privileges = true,
            (47, 4) => self.ambient = 0,
            (47, 2) if self.permitted & self.inheritable & 1 << capability == 0 => return EPERM,
            (47, 2) => self.ambient |= 1 << capability,
            _ => {}
        }
        0
    }
}

/// The sets in the form of `capget(2)`.
fn words(sets: [u64; 3]) -> Vec<u8> {
    let low = sets.iter().flat_map(|set| (*set as u32).to_ne_bytes());
    low.chain(sets.iter().flat_map(|set| ((*set >> 32) as u32).to_ne_bytes())).collect()
}
