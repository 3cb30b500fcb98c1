//! A kernel of a test's own, which answers in place of the real one: no system call of `init` leaves the thread.

use std::cell::RefCell;
use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use super::super::op::{DATA, Header, Op};

/// A system call that `init` makes.
pub struct MadeCall {
    /// Its number, one of [`super::calls`].
    pub number: u32,
    /// Its arguments.
    pub arguments: [usize; 6],
}

impl MadeCall {
    /// The C string that an argument points to; empty without one.
    pub fn text(&self, at: usize) -> Vec<u8> {
        let pointer = self.arguments[at] as *const std::ffi::c_char;
        if pointer.is_null() {
            return Vec::new();
        }
        // SAFETY: the caller says that the argument is a text. The wrappers of this room pass C strings that outlive
        // the call, as the real kernel demands.
        unsafe { CStr::from_ptr(pointer) }.to_bytes().to_vec()
    }

    /// The memory that an argument points to.
    pub fn bytes(&self, at: usize, count: usize) -> Vec<u8> {
        // SAFETY: the wrappers of this room pass the address and the length of memory that outlives the call.
        unsafe { std::slice::from_raw_parts(self.arguments[at] as *const u8, count) }.to_vec()
    }

    /// Writes to the memory that an argument points to.
    pub fn fill(&self, at: usize, bytes: &[u8]) {
        // SAFETY: as for `bytes`; the wrappers of such calls pass mutable memory of at least this length.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.arguments[at] as *mut u8, bytes.len()) };
    }
}

/// The answer to a system call.
pub enum FakeAnswer {
    /// The result, or a negative errno.
    Result(isize),
    /// The call does not return: exit or execve.
    End,
}

/// A kernel.
pub trait FakeKernel {
    /// Answers a call.
    fn answer(&mut self, call: &MadeCall) -> FakeAnswer;
}

thread_local! {
    static KERNEL: RefCell<Option<Rc<RefCell<dyn FakeKernel>>>> = const { RefCell::new(None) };
}

/// The way in which a call that does not return leaves `init`.
struct Ended;

/// The answer of the fake kernel, if the thread has one.
pub(super) fn answer(number: u32, arguments: [usize; 6]) -> Option<isize> {
    let kernel = KERNEL.with_borrow(Clone::clone)?;
    if std::thread::panicking() {
        // Descriptors are closed on the way out.
        return Some(0);
    }
    let answered = kernel.borrow_mut().answer(&MadeCall { number, arguments });
    match answered {
        FakeAnswer::Result(result) => Some(result),
        FakeAnswer::End => resume_unwind(Box::new(Ended)),
    }
}

/// The memory of a program: header, data, operations, slots. Its address is the answer to `mmap(2)`.
pub fn memory(data: &[u8], ops: &[Op], slots: &[i32], channel: i32) -> Vec<u64> {
    let ops_at = (DATA + data.len()).next_multiple_of(8);
    let slots_at = ops_at + size_of_val(ops);
    let mut memory = vec![0u64; (slots_at + size_of_val(slots)).div_ceil(8)];
    let header = Header { ops: ops_at as u32, count: ops.len() as u32, slots: slots_at as u32, channel, stamps: -1 };
    let start = memory.as_mut_ptr().cast::<u8>();
    // SAFETY: the memory is long enough for the four parts, one after the other, and is aligned for each.
    unsafe {
        start.cast::<Header>().write(header);
        start.add(DATA).copy_from_nonoverlapping(data.as_ptr(), data.len());
        start.add(ops_at).cast::<Op>().copy_from_nonoverlapping(ops.as_ptr(), ops.len());
        start.add(slots_at).cast::<i32>().copy_from_nonoverlapping(slots.as_ptr(), slots.len());
    }
    memory
}

/// Runs `init` with this kernel, until it ends.
pub fn run(kernel: Rc<RefCell<dyn FakeKernel>>, length: usize) {
    KERNEL.set(Some(kernel));
    let Err(end) = catch_unwind(AssertUnwindSafe(|| super::super::run::run(3, 0, length)));
    KERNEL.set(None);
    if !end.is::<Ended>() {
        resume_unwind(end);
    }
}
