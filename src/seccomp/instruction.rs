//! Instructions of classic BPF.

/// Load a word of `struct seccomp_data` (`BPF_LD | BPF_W | BPF_ABS`).
pub(super) const LOAD: u16 = 0x20;
/// Return an action (`BPF_RET | BPF_K`).
pub(super) const RETURN: u16 = 0x06;
/// Jump (`BPF_JMP | BPF_JA`).
pub(super) const JUMP: u16 = 0x05;
/// Branch if the word equals the operand (`BPF_JMP | BPF_JEQ | BPF_K`).
pub(super) const IF_EQUAL: u16 = 0x15;
/// Branch if the word is not less than the operand (`BPF_JMP | BPF_JGE | BPF_K`).
pub(super) const IF_NOT_LESS: u16 = 0x35;

/// An instruction in the memory layout of `struct sock_filter`.
pub(super) fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> u64 {
    let [c0, c1] = code.to_ne_bytes();
    let [k0, k1, k2, k3] = k.to_ne_bytes();
    u64::from_ne_bytes([c0, c1, jt, jf, k0, k1, k2, k3])
}
