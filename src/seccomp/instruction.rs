//! Instructions of classic BPF.

/// Loads a word of `struct seccomp_data` (`BPF_LD | BPF_W | BPF_ABS`).
pub(super) const LOAD: u16 = 0x20;
/// Ends with an action (`BPF_RET | BPF_K`).
pub(super) const RETURN: u16 = 0x06;
/// Jumps (`BPF_JMP | BPF_JA`).
pub(super) const JUMP: u16 = 0x05;
/// Is the word this (`BPF_JMP | BPF_JEQ | BPF_K`)?
pub(super) const IF_EQUAL: u16 = 0x15;
/// Is the word this or more (`BPF_JMP | BPF_JGE | BPF_K`)?
pub(super) const IF_NOT_LESS: u16 = 0x35;

/// One instruction, as `struct sock_filter` lies in memory.
pub(super) fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> u64 {
    let [c0, c1] = code.to_ne_bytes();
    let [k0, k1, k2, k3] = k.to_ne_bytes();
    u64::from_ne_bytes([c0, c1, jt, jf, k0, k1, k2, k3])
}
