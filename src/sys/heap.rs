//! The memory allocator of the program.
//!
//! A command of a container runtime lives for milliseconds and makes thousands of small values. The C library's
//! allocator looks after many threads, and musl's maps and unmaps pages for each group of values: it took a quarter of
//! a start's instructions. This allocator cuts the values off one region of memory, one after the other, and keeps
//! freed values in lists by size. So a command touches few pages and makes no system call for its memory.
//!
//! Only the thread that allocates first, the main thread, uses the region. The C library serves the values of other
//! threads, values above [`LARGEST`], and every value when the region is full.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// The smallest size, and the alignment of each value.
const STEP: usize = 16;
/// Up to this size there is a list for each multiple of [`STEP`]; above it, one for each power of two.
const FINE: usize = 1024;
/// The largest size in the region.
const LARGEST: usize = 1024 * 1024;
const LISTS: usize = FINE / STEP + (LARGEST / FINE).ilog2() as usize;
/// The size of the region. It is part of the program's zeroed data, so only the pages in use take memory.
const SIZE: usize = 16 * 1024 * 1024;

#[repr(C, align(4096))]
struct Region(UnsafeCell<MaybeUninit<[u8; SIZE]>>);

// SAFETY: the heap hands out each part of the region to one owner at a time.
unsafe impl Sync for Region {}

static REGION: Region = Region(UnsafeCell::new(MaybeUninit::zeroed()));

/// The allocator; `main.rs` declares it.
#[derive(Debug)]
pub struct Heap {
    /// The thread that uses the region, by [`this_thread`]; 0 before the first allocation.
    owner: AtomicUsize,
    arena: UnsafeCell<Arena>,
}

#[derive(Debug)]
struct Arena {
    /// The length of the part of the region that has been handed out.
    used: usize,
    /// The length of the part that has its pages.
    populated: usize,
    /// The freed values, by list. Each begins with the address of the next.
    free: [*mut u8; LISTS],
}

// SAFETY: only the owner's thread accesses the arena.
unsafe impl Sync for Heap {}

impl Heap {
    /// A heap from which nothing has been allocated.
    #[allow(clippy::new_without_default, reason = "a second heap would hand out the same region")]
    pub const fn new() -> Heap {
        Heap {
            owner: AtomicUsize::new(0),
            arena: UnsafeCell::new(Arena { used: 0, populated: 0, free: [ptr::null_mut(); LISTS] }),
        }
    }

    /// The arena, if this thread is its owner.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "the callers are the four functions of the allocator, which do not nest")]
    fn arena(&self) -> Option<&mut Arena> {
        let this = this_thread();
        let owner = match self.owner.load(Ordering::Relaxed) {
            0 => {
                // The program allocates before it starts a second thread.
                self.owner.store(this, Ordering::Relaxed);
                this
            }
            owner => owner,
        };
        // SAFETY: one thread only, and no reference outlives the function of the allocator that asked for it.
        (owner == this).then(|| unsafe { &mut *self.arena.get() })
    }
}

/// A list, and the size of its values.
#[derive(Clone, Copy, Debug, PartialEq)]
struct SizeClass {
    index: usize,
    size: usize,
}

impl SizeClass {
    /// The list for values of this size and alignment, if they are in the region.
    #[inline]
    fn of(size: usize, align: usize) -> Option<SizeClass> {
        if align > STEP || size > LARGEST || size == 0 {
            return None;
        }
        if size <= FINE {
            let index = (size - 1) / STEP;
            return Some(SizeClass { index, size: (index + 1) * STEP });
        }
        let size = size.next_power_of_two();
        Some(SizeClass { index: FINE / STEP - 1 + (size / FINE).ilog2() as usize, size })
    }
}

/// Gives the stack below the caller its pages at once. For commands that start a process: they use about as much.
pub fn populate_stack() {
    const PAGE: usize = 4096;
    const LENGTH: usize = 19 * PAGE;
    let mark = 0u8;
    populate(((&raw const mark).addr() & !(PAGE - 1)) - LENGTH, LENGTH);
}

/// Makes the pages of a range at once: a page fault for each takes longer. Before Linux 5.14 the call fails, and the
/// pages are faulted in one by one.
fn populate(from: usize, length: usize) {
    // SAFETY: the call changes no byte. Both callers name memory of the program: the region, and the stack, of which
    // execve(2) maps 128 KiB.
    unsafe { libc::madvise(from as *mut libc::c_void, length, libc::MADV_POPULATE_WRITE) };
}

impl Arena {
    /// A value, and whether its bytes are zero because nothing has used them; `None` if the region is full.
    #[inline]
    fn take(&mut self, list: SizeClass) -> Option<(*mut u8, bool)> {
        let head = self.free[list.index];
        if !head.is_null() {
            // SAFETY: the list holds freed values of at least STEP bytes, which begin with the next one's address.
            self.free[list.index] = unsafe { head.cast::<*mut u8>().read() };
            return Some((head, false));
        }
        if self.used + list.size > SIZE {
            return None;
        }
        // SAFETY: the offset is inside the region.
        let value = unsafe { start().add(self.used) };
        self.use_to(self.used + list.size);
        Some((value, true))
    }

    #[inline]
    fn give_back(&mut self, value: *mut u8, list: SizeClass) {
        // SAFETY: the value has at least STEP bytes, is aligned to STEP, and has no owner any more.
        unsafe { value.cast::<*mut u8>().write(self.free[list.index]) };
        self.free[list.index] = value;
    }

    /// Gives the value that was handed out last another size, where it is.
    #[inline]
    fn resize_last(&mut self, value: *mut u8, old: SizeClass, new: SizeClass) -> bool {
        let offset = value.addr() - start().addr();
        let fits = offset + old.size == self.used && new.size > old.size && offset + new.size <= SIZE;
        if fits {
            self.use_to(offset + new.size);
        }
        fits
    }

    #[inline]
    fn use_to(&mut self, used: usize) {
        self.used = used;
        if used > self.populated {
            self.populate_more();
        }
    }

    /// Makes the next pages: more of them for a program that has used many.
    #[inline(never)]
    fn populate_more(&mut self) {
        const LEAST: usize = 16 * 1024;
        let end = (self.used + (self.used / 2).max(LEAST)).next_multiple_of(LEAST).min(SIZE);
        populate(start().addr() + self.populated, end - self.populated);
        self.populated = end;
    }
}

/// The exit status of a program without memory.
static STATUS: AtomicI32 = AtomicI32::new(1);

/// Sets the exit status of a program without memory, for a command whose errors have another status than 1.
pub fn fail_with(status: i32) {
    STATUS.store(status, Ordering::Relaxed);
}

/// A value of the C library. Without memory for it the program ends with a line and an exit status. Rust would abort: then
/// a caller sees a signal, and the host may write a core file. For a large value the caller is told: it may be a file of
/// any size that does not fit.
#[inline]
fn given(value: *mut u8, size: usize) -> *mut u8 {
    if value.is_null() && size <= LARGEST {
        end();
    }
    value
}

/// Makes sure that the C library has memory for the next thread: std takes its handles of the new thread and of the
/// caller from there, and aborts without memory.
///
/// # Errors
/// `ENOMEM`.
pub fn prepare_a_thread() -> std::io::Result<()> {
    /// The size of a handle. One of the same size that was freed before is used again.
    const HANDLE: Layout = Layout::new::<[usize; 6]>();
    // The compiler would leave out values that nobody uses. SAFETY: the size is not zero.
    let handles = [(); 3].map(|()| std::hint::black_box(unsafe { System.alloc(HANDLE) }));
    if handles.iter().any(|handle| handle.is_null()) {
        return Err(std::io::Error::from_raw_os_error(libc::ENOMEM));
    }
    // The last one stays: without a value musl would give the memory back to the kernel.
    for handle in &handles[..2] {
        // SAFETY: it comes from this allocator, with this layout, and nobody uses it.
        unsafe { System.dealloc(*handle, HANDLE) };
    }
    Ok(())
}

#[cold]
fn end() -> ! {
    let line = b"out of memory\n";
    // SAFETY: write(2) reads the line, and _exit(2) takes an integer. Neither allocates memory.
    unsafe {
        libc::write(2, line.as_ptr().cast(), line.len());
        libc::_exit(STATUS.load(Ordering::Relaxed))
    }
}

#[inline]
fn start() -> *mut u8 {
    REGION.0.get().cast()
}

#[inline]
fn in_region(value: *mut u8) -> bool {
    value.addr().wrapping_sub(start().addr()) < SIZE
}

/// A number of this thread that no other thread of the process has: its thread pointer.
#[inline]
fn this_thread() -> usize {
    let pointer: usize;
    // SAFETY: the first word of the thread's own memory holds its address, in glibc and in musl.
    unsafe { std::arch::asm!("mov {}, fs:0", out(reg) pointer, options(nostack, preserves_flags, readonly)) };
    pointer
}

// Not inlined: at each of thousands of places the program would grow by a quarter. SAFETY: a value comes from the
// region or from the C library and returns to the one that its address names. Values of the region have the size of
// their list, at least the requested one, and the alignment STEP, at least the requested one.
unsafe impl GlobalAlloc for Heap {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = SizeClass::of(layout.size(), layout.align()).and_then(|list| self.arena()?.take(list));
        match taken {
            Some((value, _)) => value,
            // SAFETY: the caller's promise.
            None => given(unsafe { System.alloc(layout) }, layout.size()),
        }
    }

    #[inline(never)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let taken = SizeClass::of(layout.size(), layout.align()).and_then(|list| self.arena()?.take(list));
        match taken {
            Some((value, true)) => value,
            Some((value, false)) => {
                // SAFETY: the value has at least that size.
                unsafe { value.write_bytes(0, layout.size()) };
                value
            }
            // SAFETY: the caller's promise.
            None => given(unsafe { System.alloc_zeroed(layout) }, layout.size()),
        }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, value: *mut u8, layout: Layout) {
        if !in_region(value) {
            // SAFETY: a value outside the region comes from the C library.
            return unsafe { System.dealloc(value, layout) };
        }
        // A value that another thread frees is lost. These are the few that a thread is started with.
        if let (Some(list), Some(arena)) = (SizeClass::of(layout.size(), layout.align()), self.arena()) {
            arena.give_back(value, list);
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, value: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !in_region(value) {
            // SAFETY: a value outside the region comes from the C library.
            return given(unsafe { System.realloc(value, layout, size) }, size);
        }
        if let (Some(old), Some(new)) =
            (SizeClass::of(layout.size(), layout.align()), SizeClass::of(size, layout.align()))
            && (old == new || self.arena().is_some_and(|arena| arena.resize_last(value, old, new)))
        {
            return value;
        }
        // SAFETY: the caller's promise: the size is not zero and fits with this alignment.
        let moved = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !moved.is_null() {
            // SAFETY: two different values, each at least as long as the copy; the old one has no owner any more.
            unsafe {
                ptr::copy_nonoverlapping(value, moved, layout.size().min(size));
                self.dealloc(value, layout);
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_the_lists() {
        assert_eq!(SizeClass::of(0, 1), None);
        assert_eq!(SizeClass::of(1, 1), Some(SizeClass { index: 0, size: 16 }));
        assert_eq!(SizeClass::of(16, 8), Some(SizeClass { index: 0, size: 16 }));
        assert_eq!(SizeClass::of(17, 16), Some(SizeClass { index: 1, size: 32 }));
        assert_eq!(SizeClass::of(16, 32), None);
        assert_eq!(SizeClass::of(FINE, 1), Some(SizeClass { index: FINE / STEP - 1, size: FINE }));
        assert_eq!(SizeClass::of(FINE + 1, 1), Some(SizeClass { index: FINE / STEP, size: 2 * FINE }));
        assert_eq!(SizeClass::of(LARGEST, 1), Some(SizeClass { index: LISTS - 1, size: LARGEST }));
        assert_eq!(SizeClass::of(LARGEST + 1, 1), None);
    }

    /// The only heap of the test process: two would hand out the same region.
    static HEAP: Heap = Heap::new();

    #[test]
    fn values_are_apart_return_and_move() {
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        let fill = |value: *mut u8, byte: u8, size: usize| {
            // SAFETY: the value has that size.
            unsafe { value.write_bytes(byte, size) };
        };
        let holds = |value: *mut u8, byte: u8, size: usize| {
            // SAFETY: the value has that size.
            let bytes = unsafe { std::slice::from_raw_parts(value, size) };
            assert!(bytes.iter().all(|found| *found == byte));
        };
        // SAFETY: sizes are not zero, and each value is freed or moved once, with its own layout.
        unsafe {
            let (a, b) = (HEAP.alloc(layout(24)), HEAP.alloc(layout(24)));
            assert!(in_region(a) && in_region(b));
            fill(a, 1, 24);
            fill(b, 2, 24);
            holds(a, 1, 24);
            // A freed value is used again, and zeroed if that is asked for.
            HEAP.dealloc(a, layout(24));
            let c = HEAP.alloc_zeroed(layout(20));
            assert_eq!(a, c);
            holds(c, 0, 20);
            // The last value grows where it is, and another one moves.
            let last = HEAP.alloc(layout(100));
            fill(last, 3, 100);
            assert_eq!(HEAP.realloc(last, layout(100), 5000), last);
            holds(last, 3, 100);
            let moved = HEAP.realloc(b, layout(24), 300);
            assert_ne!(moved, b);
            holds(moved, 2, 24);
            // A large value is in the C library, and returns to the region when it shrinks there.
            let large = HEAP.realloc(moved, layout(300), LARGEST + 1);
            assert!(!in_region(large));
            holds(large, 2, 24);
            HEAP.dealloc(large, layout(LARGEST + 1));
            // Another thread's value is in the C library, too; it may not use the region's lists.
            let others = std::thread::spawn(move || HEAP.alloc(layout(24)).addr()).join().unwrap();
            assert!(others.wrapping_sub(start().addr()) >= SIZE);
        }
    }
}
