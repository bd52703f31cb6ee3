//! A file that is mapped into memory and shared with the kernel, the next engine and children on
//! their way to exec.
//!
//! The mapping reserves the address range of the largest file there may be; the file itself grows
//! by [`Mapping::grow`], which allocates the blocks first, so that a full disk is an error here and
//! not a SIGBUS at some later store.
#![expect(unsafe_code, reason = "mmap and access to shared memory")]

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::mman::{MapFlags, ProtFlags, mmap};

use super::spawn::SpawnCell;

/// A shared mapping that lives as long as the process.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    /// Bytes that the file has, and that may be touched.
    length: AtomicUsize,
    most: usize,
    file: File,
}

// SAFETY: all access goes through copies at checked offsets; who may write where is agreed between
// the few owners (slots, staging record), and a torn copy is found by its checksum.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `file`, which may grow to `most` bytes.
    ///
    /// # Errors
    /// The file cannot be mapped.
    pub fn new(file: File, most: usize) -> io::Result<Mapping> {
        let size = NonZeroUsize::new(most).ok_or_else(|| io::Error::other("empty mapping"))?;
        // SAFETY: a new mapping at an address of the kernel's choice; it is never unmapped.
        let base = unsafe {
            mmap(
                None,
                size,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED | MapFlags::MAP_NORESERVE,
                file.as_fd(),
                0,
            )?
        };
        let length = (file.metadata()?.len() as usize).min(most);
        Ok(Mapping {
            base: base.cast(),
            length: AtomicUsize::new(length),
            most,
            file,
        })
    }

    /// Bytes that may be touched.
    pub fn len(&self) -> usize {
        self.length.load(Ordering::Acquire)
    }

    /// The file behind it.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes the file at least `length` bytes long, with its blocks.
    ///
    /// # Errors
    /// No space, or beyond the most that was reserved.
    pub fn grow(&self, length: usize) -> io::Result<()> {
        if length > self.most {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        if length > self.len() {
            fallocate(&self.file, FallocateFlags::empty(), 0, length as i64)?;
            self.length.store(length, Ordering::Release);
        }
        Ok(())
    }

    fn at(&self, offset: usize, size: usize) -> *mut u8 {
        assert!(
            offset
                .checked_add(size)
                .is_some_and(|end| end <= self.len()),
            "beyond the file"
        );
        // SAFETY: inside the mapping, as just checked.
        unsafe { self.base.as_ptr().add(offset) }
    }

    /// Copies bytes out.
    pub fn read(&self, offset: usize, out: &mut [u8]) {
        let from = self.at(offset, out.len());
        // SAFETY: `from` is valid for that many bytes; `out` is ours, so they do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len()) }
    }

    /// Copies bytes in.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        let to = self.at(offset, bytes.len());
        // SAFETY: `to` is valid for that many bytes; `bytes` are not in the mapping.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) }
        // What follows (another write, a system call) shall find these bytes in place, also if
        // this process is killed in between.
        std::sync::atomic::fence(Ordering::SeqCst);
    }

    /// The words at `offset` that the kernel and a child write to.
    pub fn spawn_cell(&self, offset: usize) -> &SpawnCell {
        let at = self.at(offset, size_of::<SpawnCell>());
        assert!(at.cast::<SpawnCell>().is_aligned(), "cells are aligned");
        // SAFETY: aligned and inside the mapping, which lives as long as the process; it is made
        // of atomics only, so that others may write to it at any time.
        unsafe { &*at.cast::<SpawnCell>() }
    }
}
