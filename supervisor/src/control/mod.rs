//! The control sockets: who may connect, how many at a time, and one task for each connection.
//!
//! A connection belongs to the user that the kernel names. Of each user only so many are kept; one more
//! pushes out the oldest that has not asked anything yet, so that half-open ones cannot keep an operator
//! out. Left to others: what each may ask ([`rights`]), framing and answering ([`session`]).

mod refused;
pub mod rights;
mod session;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::task::AbortHandle;

use crate::engine::inbox::Inbox;
use rights::{Peer, Right, Rights};

/// Connections of one user at a time.
const PER_USER: usize = 64;

/// Starts serving; returns at once. To be called inside the engine's runtime.
///
/// # Errors
/// The sockets cannot be watched.
pub fn serve(listeners: Vec<StdListener>, inbox: Inbox, rights: &Rights) -> Result<(), String> {
    let guests = Guests::default();
    for listener in listeners {
        let listener = UnixListener::from_std(listener).map_err(|error| error.to_string())?;
        let (inbox, guests, rights) = (inbox.clone(), guests.clone(), rights.clone());
        tokio::spawn(accept(listener, inbox, guests, rights));
    }
    Ok(())
}

async fn accept(listener: UnixListener, inbox: Inbox, guests: Guests, rights: Rights) {
    // Given up for a moment where there are no descriptors left, so that the connection that waits can
    // be taken and closed, instead of waking this task for ever.
    let mut reserve = File::open("/dev/null").ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                reserve = reserve.or_else(|| File::open("/dev/null").ok());
                welcome(stream, &inbox, &guests, &rights);
            }
            Err(error) if is_exhausted(&error) => {
                tracing::error!("no descriptors left for a connection; it is turned away");
                if reserve.take().is_some() {
                    // The one that waits is taken only to be closed.
                    let _ =
                        tokio::time::timeout(Duration::from_millis(10), listener.accept()).await;
                } else {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                reserve = File::open("/dev/null").ok();
            }
            // The client has gone already.
            Err(_) => {}
        }
    }
}

fn is_exhausted(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS)
    )
}

fn welcome(stream: UnixStream, inbox: &Inbox, guests: &Guests, rights: &Rights) {
    let Some(peer) = Peer::of(&stream) else {
        return;
    };
    let uid = peer.uid;
    let number = guests.enter(uid);
    let (inbox, guests_too, rights) = (inbox.clone(), guests.clone(), rights.clone());
    let task = tokio::spawn(async move {
        let seat = Seat {
            guests: guests_too,
            uid,
            number,
        };
        if rights.of(&peer) == Right::None {
            refused::note(uid, "it may not use this daemon");
            session::turn_away(stream).await;
        } else {
            session::run(stream, inbox, &seat, (&peer, &rights)).await;
        }
    });
    guests.seat(uid, number, task.abort_handle());
}

/// Who is connected.
#[derive(Clone, Debug, Default)]
struct Guests(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    /// By user and number; numbers count up.
    list: BTreeMap<(u32, u64), Guest>,
    last: u64,
}

#[derive(Debug, Default)]
struct Guest {
    asked: bool,
    task: Option<AbortHandle>,
}

impl Guests {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for one more of this user.
    fn enter(&self, uid: u32) -> u64 {
        let mut book = self.book();
        let range = (uid, 0)..=(uid, u64::MAX);
        while book.list.range(range.clone()).count() >= PER_USER {
            let idle = book
                .list
                .range(range.clone())
                .find(|(_, guest)| !guest.asked);
            let oldest = idle.or_else(|| book.list.range(range.clone()).next());
            let Some(key) = oldest.map(|(key, _)| *key) else {
                break;
            };
            if let Some(Guest {
                task: Some(task), ..
            }) = book.list.remove(&key)
            {
                task.abort();
            }
        }
        book.last += 1;
        let number = book.last;
        book.list.insert((uid, number), Guest::default());
        number
    }

    fn seat(&self, uid: u32, number: u64, task: AbortHandle) {
        if let Some(guest) = self.book().list.get_mut(&(uid, number)) {
            guest.task = Some(task);
        }
    }
}

/// One connection's place; free again when it is dropped.
#[derive(Debug)]
struct Seat {
    guests: Guests,
    uid: u32,
    number: u64,
}

impl Seat {
    /// It has something to ask, or has been answered.
    fn is_asking(&self, asking: bool) {
        let key = (self.uid, self.number);
        if let Some(guest) = self.guests.book().list.get_mut(&key) {
            guest.asked = asking;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.guests.book().list.remove(&(self.uid, self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_pushes_out_the_oldest_that_has_not_asked() {
        let guests = Guests::default();
        let seats: Vec<Seat> = (0..PER_USER)
            .map(|_| Seat {
                guests: guests.clone(),
                uid: 7,
                number: guests.enter(7),
            })
            .collect();
        seats[0].is_asking(true);
        guests.enter(8);
        guests.enter(7);
        let list = &guests.book().list;
        assert!(list.contains_key(&(7, seats[0].number)));
        assert!(!list.contains_key(&(7, seats[1].number)));
        assert_eq!(list.len(), PER_USER + 1);
    }

    #[test]
    fn a_seat_is_free_when_it_is_left() {
        let guests = Guests::default();
        let number = guests.enter(7);
        drop(Seat {
            guests: guests.clone(),
            uid: 7,
            number,
        });
        assert!(guests.book().list.is_empty());
    }
}
