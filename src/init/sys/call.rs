//! One system call.

use core::arch::asm;

#[cfg(not(target_arch = "x86_64"))]
compile_error!("init knows the system call interface of x86_64 only");

/// # Safety
/// All arguments must be valid for this system call: pointers, lengths and flags.
pub unsafe fn raw(number: u32, a: [usize; 6]) -> isize {
    #[cfg(any(test, fuzzing))]
    if let Some(result) = super::fake::answer(number, a) {
        return result;
    }
    let result: isize;
    // SAFETY: the kernel clobbers only rcx, r11 and rax; memory is assumed changed.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a[0], in("rsi") a[1],
             in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
             lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

macro_rules! call {
    ($number:ident $(, $argument:expr)*) => {{
        let given = [$($argument as usize),*];
        let mut all = [0usize; 6];
        all[..given.len()].copy_from_slice(&given);
        // SAFETY: every caller of this macro passes numbers, or pointers made from references and
        // slices that outlive the call, with their own lengths.
        let result = unsafe { super::call::raw(super::super::calls::$number, all) };
        if result < 0 {
            Err(super::Fault { step: super::super::calls::$number, errno: -result as i32, detail: 0 })
        } else {
            Ok(result as usize)
        }
    }};
}

/// A call whose result is only success or failure.
macro_rules! done {
    ($($call:tt)*) => { call!($($call)*).map(|_| ()) };
}
