//! The mapped program, which the runtime wrote.

use core::cell::UnsafeCell;
use core::ffi::CStr;

use super::super::op::{BASE, DATA, Header, List, Op, Slot, Text};
use super::Try;

/// The sealed list of operations, and the data that they refer to.
#[derive(Clone, Copy)]
pub struct Mapped(&'static Header);

impl Mapped {
    /// Map the program at `offset` of `fd`.
    pub fn map(fd: i32, offset: usize, length: usize) -> Try<Mapped> {
        const READ_WRITE: usize = 3;
        const PRIVATE_FIXED_NOREPLACE: usize = 0x10_0002;
        let at = call!(MMAP, BASE, length, READ_WRITE, PRIVATE_FIXED_NOREPLACE, fd, offset)?;
        // SAFETY: the runtime, built by the same compiler from the same definition, wrote a Header at the start of a
        // file that is sealed against any change. The mapping is never removed.
        Ok(Mapped(unsafe { &*(at as *const Header) }))
    }

    /// The address of the program.
    #[cfg(not(any(test, fuzzing)))]
    const fn base(self) -> usize {
        BASE
    }

    /// Tests place a program anywhere: their own code may be at the usual address.
    #[cfg(any(test, fuzzing))]
    fn base(self) -> usize {
        core::ptr::from_ref(self.0) as usize
    }

    pub fn channel(self) -> i32 {
        self.0.channel
    }

    /// The memory for time stamps, if a trace is made.
    pub fn stamps(self) -> Option<i32> {
        (self.0.stamps >= 0).then_some(self.0.stamps)
    }

    pub fn ops(self) -> &'static [Op] {
        // SAFETY: the runtime, built by the same compiler, wrote `count` aligned values of Op at `ops`.
        unsafe { core::slice::from_raw_parts((self.base() + self.0.ops as usize) as *const Op, self.0.count as usize) }
    }

    pub fn slot(self, index: u32) -> i32 {
        // SAFETY: the runtime wrote one i32 for every slot that an operation names.
        unsafe { *((self.base() + self.0.slots as usize) as *const i32).add(index as usize) }
    }

    /// The mount that an operation kept open in this slot; `None` if there is no slot or nothing was mounted.
    pub fn kept(self, slot: Slot) -> Option<i32> {
        (slot != Slot::NONE).then(|| self.slot(slot.0)).filter(|fd| *fd >= 0)
    }

    /// Keep a descriptor open in a slot.
    pub fn keep(self, slot: Slot, fd: i32) {
        // SAFETY: the mapping is private and writable, and the runtime wrote one i32 for every slot that an operation
        // names.
        unsafe { ((self.base() + self.0.slots as usize) as *mut i32).add(slot.0 as usize).write(fd) };
    }

    pub fn text(self, text: Text) -> &'static CStr {
        // SAFETY: the runtime wrote `len` bytes without a NUL and then one NUL.
        unsafe {
            let bytes = core::slice::from_raw_parts(
                (self.base() + DATA + text.at as usize) as *const u8,
                text.len as usize + 1,
            );
            CStr::from_bytes_with_nul_unchecked(bytes)
        }
    }

    fn list<T>(self, list: List) -> &'static [T] {
        // SAFETY: this function is private, and its callers use the element type that the operation's description
        // names. The runtime aligns every list to 8 bytes.
        unsafe { core::slice::from_raw_parts((self.base() + DATA + list.at as usize) as *const T, list.len as usize) }
    }

    pub fn texts(self, list: List) -> &'static [Text] {
        self.list(list)
    }

    pub fn words(self, list: List) -> &'static [u64] {
        self.list(list)
    }

    pub fn numbers(self, list: List) -> &'static [u32] {
        self.list(list)
    }

    pub fn addresses(self, list: List) -> &'static [usize] {
        self.list(list)
    }

    pub fn pairs(self, list: List) -> &'static [(u32, u32)] {
        self.list(list)
    }

    /// Put an address into an array of addresses, such as `envp`.
    pub fn put(self, list: List, index: u32, text: &'static CStr) {
        let place = (self.base() + DATA + list.at as usize) as *mut usize;
        if index < list.len {
            // SAFETY: the mapping is private and writable, and the index is inside the list.
            unsafe { place.add(index as usize).write(text.as_ptr() as usize) };
        }
    }
}

/// A static buffer for the one string that `init` composes.
pub fn lasting() -> &'static mut [u8; 512] {
    struct Buffer(UnsafeCell<[u8; 512]>);
    // SAFETY: init has one thread.
    unsafe impl Sync for Buffer {}
    static BUFFER: Buffer = Buffer(UnsafeCell::new([0; 512]));
    // SAFETY: one thread, and only the operation HOME, of which there is one, calls this.
    unsafe { &mut *BUFFER.0.get() }
}
