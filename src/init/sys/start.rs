//! The entry point, and the functions that the compiler calls.

use core::arch::{asm, global_asm};
use core::ffi::CStr;

use super::exit;
use crate::path::decimal;

global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {entry}",
    "ud2",
    entry = sym entry,
);

/// Called by `_start` with the initial stack: `argc`, then `argv`.
extern "C" fn entry(stack: *const usize) -> ! {
    // SAFETY: execve(2) puts argc and a null-terminated argv of C strings there, which live as
    // long as the process.
    let argument = |index: usize| unsafe {
        let count = *stack;
        if index < count { Some(CStr::from_ptr(*stack.add(1 + index) as *const _)) } else { None }
    };
    let number = |index| argument(index).map_or(0, decimal);
    crate::run::run(number(2) as i32, number(3), number(4))
}

/// # Safety
/// As for C's `memcpy`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller gives two valid, disjoint ranges of `count` bytes.
    unsafe { asm!("rep movsb", inout("rcx") count => _, inout("rdi") to => _, inout("rsi") from => _) };
    to
}

/// # Safety
/// As for C's `memmove`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= count {
        // SAFETY: forward copying is right when the target does not start inside the source.
        return unsafe { memcpy(to, from, count) };
    }
    // SAFETY: both ranges hold `count` > 0 bytes; they are walked from their last byte down.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") count => _,
             inout("rdi") to.add(count - 1) => _, inout("rsi") from.add(count - 1) => _);
    }
    to
}

/// # Safety
/// As for C's `memset`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    // SAFETY: the caller gives a valid range of `count` bytes.
    unsafe { asm!("rep stosb", inout("rcx") count => _, inout("rdi") to => _, in("al") byte as u8) };
    to
}

/// # Safety
/// As for C's `memcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    for at in 0..count {
        // SAFETY: the caller gives two valid ranges of `count` bytes.
        let (x, y) = unsafe { (a.add(at).read_volatile(), b.add(at).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    0
}

/// # Safety
/// As for C's `strlen`.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: the caller gives a string that ends in a NUL byte.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(125)
}
