//! `memcpy`, `memmove`, `memcmp` and `bcmp` for x86_64, in place of musl's.
//!
//! musl copies with `rep movs`, which takes some thirty nanoseconds to begin, and compares byte by byte. The compiler calls
//! these functions thousands of times in each command, mostly for less than a hundred bytes: copies took a sixth of the
//! user time of a start.

use std::arch::global_asm;

// Short copies load everything before they store, so memcpy and memmove are one function. A longer one goes forward, or
// backward if the destination begins inside the source; its last 64 bytes, or the first ones, are loaded before the loop
// can overwrite them.
global_asm!(
    ".pushsection .text.memmove,\"ax\",@progbits",
    ".globl memcpy",
    ".globl memmove",
    ".type memcpy,@function",
    ".type memmove,@function",
    ".p2align 5",
    "memcpy:",
    "memmove:",
    "mov rax, rdi",
    "cmp rdx, 16",
    "jb 20f",
    "movups xmm0, [rsi]",
    "movups xmm1, [rsi + rdx - 16]",
    "cmp rdx, 32",
    "ja 40f",
    "movups [rdi], xmm0",
    "movups [rdi + rdx - 16], xmm1",
    "ret",
    // 33 to 64 bytes.
    "40:",
    "movups xmm2, [rsi + 16]",
    "movups xmm3, [rsi + rdx - 32]",
    "cmp rdx, 64",
    "ja 41f",
    "movups [rdi], xmm0",
    "movups [rdi + 16], xmm2",
    "movups [rdi + rdx - 32], xmm3",
    "movups [rdi + rdx - 16], xmm1",
    "ret",
    // 65 bytes and more: the last 64 are in xmm4, xmm5, xmm3 and xmm1.
    "41:",
    "movups xmm4, [rsi + rdx - 64]",
    "movups xmm5, [rsi + rdx - 48]",
    "mov rcx, rdi",
    "sub rcx, rsi",
    "cmp rcx, rdx",
    "jb 30f",
    "lea r8, [rdi + rdx - 64]",
    "12:",
    "movups xmm6, [rsi]",
    "movups xmm7, [rsi + 16]",
    "movups xmm8, [rsi + 32]",
    "movups xmm9, [rsi + 48]",
    "movups [rdi], xmm6",
    "movups [rdi + 16], xmm7",
    "movups [rdi + 32], xmm8",
    "movups [rdi + 48], xmm9",
    "add rsi, 64",
    "add rdi, 64",
    "cmp rdi, r8",
    "jb 12b",
    "movups [r8], xmm4",
    "movups [r8 + 16], xmm5",
    "movups [r8 + 32], xmm3",
    "movups [r8 + 48], xmm1",
    "ret",
    // Fewer than 16 bytes.
    "20:",
    "cmp edx, 8",
    "jae 21f",
    "cmp edx, 4",
    "jae 22f",
    "test edx, edx",
    "jz 23f",
    "movzx ecx, byte ptr [rsi]",
    "movzx r8d, byte ptr [rsi + rdx - 1]",
    "mov r9d, edx",
    "shr r9d, 1",
    "movzx r10d, byte ptr [rsi + r9]",
    "mov [rdi + r9], r10b",
    "mov [rdi + rdx - 1], r8b",
    "mov [rdi], cl",
    "23:",
    "ret",
    "21:",
    "mov rcx, [rsi]",
    "mov r8, [rsi + rdx - 8]",
    "mov [rdi], rcx",
    "mov [rdi + rdx - 8], r8",
    "ret",
    "22:",
    "mov ecx, [rsi]",
    "mov r8d, [rsi + rdx - 4]",
    "mov [rdi], ecx",
    "mov [rdi + rdx - 4], r8d",
    "ret",
    // Backward: the first 64 bytes are in xmm0, xmm2, xmm4 and xmm5.
    "30:",
    "movups xmm4, [rsi + 32]",
    "movups xmm5, [rsi + 48]",
    "31:",
    "movups xmm6, [rsi + rdx - 16]",
    "movups xmm7, [rsi + rdx - 32]",
    "movups xmm8, [rsi + rdx - 48]",
    "movups xmm9, [rsi + rdx - 64]",
    "movups [rdi + rdx - 16], xmm6",
    "movups [rdi + rdx - 32], xmm7",
    "movups [rdi + rdx - 48], xmm8",
    "movups [rdi + rdx - 64], xmm9",
    "sub rdx, 64",
    "cmp rdx, 64",
    "ja 31b",
    "movups [rdi], xmm0",
    "movups [rdi + 16], xmm2",
    "movups [rdi + 32], xmm4",
    "movups [rdi + 48], xmm5",
    "ret",
    ".size memmove, . - memmove",
    ".size memcpy, . - memcpy",
    ".popsection",
);

// Compares eight bytes at a time. The first different byte decides, so the words are compared in the order of their bytes.
global_asm!(
    ".pushsection .text.memcmp,\"ax\",@progbits",
    ".globl memcmp",
    ".globl bcmp",
    ".type memcmp,@function",
    ".type bcmp,@function",
    ".p2align 5",
    "bcmp:",
    "memcmp:",
    "xor ecx, ecx",
    "sub rdx, 8",
    "jb 12f",
    "40:",
    "mov rax, [rdi + rcx]",
    "mov r8, [rsi + rcx]",
    "cmp rax, r8",
    "jne 41f",
    "add rcx, 8",
    "cmp rcx, rdx",
    "jbe 40b",
    "12:",
    "add rdx, 8",
    "13:",
    "cmp rcx, rdx",
    "je 14f",
    "movzx eax, byte ptr [rdi + rcx]",
    "movzx r8d, byte ptr [rsi + rcx]",
    "inc rcx",
    "sub eax, r8d",
    "jz 13b",
    "ret",
    "41:",
    "bswap rax",
    "bswap r8",
    "xor ecx, ecx",
    "cmp rax, r8",
    "seta cl",
    "lea eax, [rcx + rcx - 1]",
    "ret",
    "14:",
    "xor eax, eax",
    "ret",
    ".size memcmp, . - memcmp",
    ".size bcmp, . - bcmp",
    ".popsection",
);

#[cfg(test)]
mod tests {
    use std::ffi::c_void;

    unsafe extern "C" {
        fn memmove(to: *mut c_void, from: *const c_void, length: usize) -> *mut c_void;
        fn memcmp(a: *const c_void, b: *const c_void, length: usize) -> i32;
    }

    const ROOM: usize = 600;

    fn pattern() -> Vec<u8> {
        (0..ROOM).map(|index| (index * 7 + index / 251) as u8).collect()
    }

    #[test]
    fn copies_of_each_length_and_overlap() {
        for length in 0..300 {
            for (to, from) in [(0, 300), (300, 0), (0, 1), (1, 0), (0, 16), (16, 0), (5, 70), (70, 5), (9, 9), (0, 63)]
            {
                let mut found = pattern();
                // SAFETY: both ranges are inside the vector.
                let result = unsafe {
                    let start = found.as_mut_ptr();
                    memmove(start.add(to).cast(), start.add(from).cast(), length) == start.add(to).cast()
                };
                let old = pattern();
                let wanted: Vec<u8> = (0..ROOM)
                    .map(|at| if (to..to + length).contains(&at) { old[at - to + from] } else { old[at] })
                    .collect();
                assert!(result && found == wanted, "{length} bytes from {from} to {to}");
            }
        }
    }

    #[test]
    fn comparisons_of_each_length() {
        let sign = |a: &[u8], b: &[u8]| {
            // SAFETY: both slices have that length.
            unsafe { memcmp(a.as_ptr().cast(), b.as_ptr().cast(), a.len()) }.signum()
        };
        for length in 0..80 {
            let a = &pattern()[..length];
            assert_eq!(sign(a, a), 0);
            for at in 0..length {
                for byte in [0, 1, 127, 128, 255] {
                    let mut b = a.to_vec();
                    b[at] = byte;
                    // A later difference does not count.
                    b[at + 1..].fill(!byte);
                    let wanted = a.iter().cmp(b.iter()) as i32;
                    assert_eq!(sign(a, &b), wanted, "{length} bytes, different at {at}");
                }
            }
        }
    }
}
