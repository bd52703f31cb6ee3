//! Who is at the other end of a Unix socket, as the kernel says: as it was when it connected.
#![expect(unsafe_code, reason = "a socket option that no crate has a name for")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{SO_PEERGROUPS, SOL_SOCKET, socklen_t};

/// More than any kernel lets a process have.
const MOST: usize = 65_536;

/// The supplementary groups of the process that connected.
///
/// # Errors
/// As the kernel says.
pub fn groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; 64];
    loop {
        let mut size = size_of_val(groups.as_slice()) as socklen_t;
        // SAFETY: the kernel writes at most `size` bytes into the vector, and how many into `size`.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                SOL_SOCKET,
                SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut size,
            )
        };
        let count = size as usize / size_of::<u32>();
        if result == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        // Then it says how much room there has to be.
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() || count > MOST {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_pair_has_this_process_at_both_ends() {
        let (here, _there) = UnixStream::pair().expect("a pair");
        let mut seen = groups(here.as_fd()).expect("the kernel says");
        let own = nix::unistd::getgroups().expect("our own");
        let mut own: Vec<u32> = own.into_iter().map(nix::unistd::Gid::as_raw).collect();
        seen.sort_unstable();
        own.sort_unstable();
        assert_eq!(seen, own);
    }
}
