//! systemd, as far as a service's main process meets it, without a machine that was booted with it: a
//! notify socket that only the main process may use, a store for descriptors, and a start that passes
//! them on.
#![expect(unsafe_code, reason = "a process that is born with descriptors")]

use std::fs;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, UnixCredentials, recvmsg, setsockopt, sockopt,
};

use crate::{Home, proc, programs, wait_until};

/// See the module.
#[derive(Debug)]
pub struct FakeSystemd<'a> {
    home: &'a Home,
    address: String,
    service: Arc<Mutex<Service>>,
    main: Option<Child>,
    watchdog: Option<Duration>,
    path: Option<String>,
    paused: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Service {
    socket: UnixDatagram,
    main: i32,
    store: Vec<(String, OwnedFd)>,
    /// Since the main process was started, and when.
    said: Vec<(Instant, String)>,
    /// Messages of others.
    strangers: usize,
}

impl<'a> FakeSystemd<'a> {
    /// With nothing started; `watchdog` is `WatchdogSec`.
    #[must_use]
    pub fn new(home: &'a Home, watchdog: Option<Duration>) -> FakeSystemd<'a> {
        let address = home.text_of("notify");
        let socket = UnixDatagram::bind(&address).expect("the work folder");
        socket.set_nonblocking(true).expect("a socket");
        setsockopt(&socket, sockopt::PassCred, &true).expect("a socket");
        let service = Arc::new(Mutex::new(Service {
            socket,
            main: 0,
            store: Vec::new(),
            said: Vec::new(),
            strangers: 0,
        }));
        let (paused, over) = (Arc::default(), Arc::<AtomicBool>::default());
        let reader = {
            let (service, paused, over) = (
                Arc::clone(&service),
                Arc::<AtomicBool>::clone(&paused),
                Arc::clone(&over),
            );
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    if !paused.load(Ordering::Relaxed) {
                        lock(&service).drain();
                    }
                    thread::sleep(Duration::from_millis(1));
                }
            })
        };
        FakeSystemd {
            home,
            address,
            service,
            main: None,
            watchdog,
            path: None,
            paused,
            over,
            reader: Some(reader),
        }
    }

    /// From the next start on the service has this `PATH`.
    pub fn set_path(&mut self, path: String) {
        self.path = Some(path);
    }

    /// Starts the service with what is in its store, and returns when it is ready and how long that took.
    #[track_caller]
    pub fn start(&mut self) -> Duration {
        let started = self.start_only();
        wait_until("READY=1", Duration::from_secs(10), || {
            let service = lock(&self.service);
            let mut said = service.said.iter();
            let ready = said.find(|(_, text)| text.lines().any(|line| line == "READY=1"));
            ready.map(|(at, _)| at.duration_since(started))
        })
    }

    /// The same without waiting.
    pub fn start_only(&mut self) -> Instant {
        let mut service = lock(&self.service);
        service.said.clear();
        let mut command = self.home.command("/bin/sh".as_ref());
        let script = "if [ -n \"$LISTEN_FDS\" ]; then export LISTEN_PID=$$; fi; exec \"$0\"";
        command.args(["-c", script]).arg(programs::supervisor());
        command.env("NOTIFY_SOCKET", &self.address);
        if let Some(watchdog) = self.watchdog {
            command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        if !service.store.is_empty() {
            let names: Vec<&str> = service.store.iter().map(|(name, _)| &name[..]).collect();
            command.env("LISTEN_FDS", names.len().to_string());
            command.env("LISTEN_FDNAMES", names.join(":"));
        }
        let fds = service.store.iter().map(|(_, fd)| fd.as_raw_fd());
        let started = Instant::now();
        let child = spawn_with(&mut command, fds.collect());
        service.main = child.id().cast_signed();
        self.main = Some(child);
        started
    }

    /// The pid of the main process.
    #[must_use]
    pub fn main_pid(&self) -> i32 {
        lock(&self.service).main
    }

    /// Waits for the end of the main process; what it said before, counts.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.main.take().expect("it was started");
        let pid = child.id().cast_signed();
        wait_until("the keeper ends", Duration::from_secs(20), || {
            (!proc::alive(pid)).then_some(())
        });
        lock(&self.service).drain();
        child.wait().expect("our own child")
    }

    /// The names in the store.
    #[must_use]
    pub fn stored(&self) -> Vec<String> {
        let service = lock(&self.service);
        service.store.iter().map(|(name, _)| name.clone()).collect()
    }

    /// What the main process has said since it was started.
    #[must_use]
    pub fn said(&self) -> Vec<String> {
        let service = lock(&self.service);
        service.said.iter().map(|(_, text)| text.clone()).collect()
    }

    /// How many messages came from others than the main process.
    #[must_use]
    pub fn strangers(&self) -> usize {
        lock(&self.service).strangers
    }

    /// Whether nothing is read from the socket.
    pub fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }
}

impl Drop for FakeSystemd<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            // It panics only where the test has failed already.
            let _ = reader.join();
        }
    }
}

fn lock(service: &Mutex<Service>) -> MutexGuard<'_, Service> {
    service.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    /// Reads all that is there.
    fn drain(&mut self) {
        while let Some((sender, text, fds)) = receive(&self.socket) {
            if sender != self.main {
                self.strangers += 1;
                continue;
            }
            let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
            let name = value("FDNAME=").unwrap_or("stored").to_owned();
            if value("FDSTOREREMOVE=") == Some("1") {
                self.store.retain(|(its, _)| *its != name);
            } else if value("FDSTORE=") == Some("1") {
                assert_eq!(value("FDPOLL="), Some("0"), "{text}");
                for fd in fds {
                    if !self.store.iter().any(|(_, stored)| same(stored, &fd)) {
                        self.store.push((name.clone(), fd));
                    }
                }
            }
            self.said.push((Instant::now(), text));
        }
    }
}

/// One message: who sent it, what it says, and what came with it.
fn receive(socket: &UnixDatagram) -> Option<(i32, String, Vec<OwnedFd>)> {
    let mut bytes = [0; 4096];
    let mut space = cmsg_space!([RawFd; 8], UnixCredentials);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let got = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags);
    let got = match got {
        Ok(got) => got,
        Err(Errno::EAGAIN) => return None,
        Err(error) => panic!("the notify socket: {error}"),
    };
    let (mut sender, mut fds) = (0, Vec::new());
    for message in got.cmsgs().expect("there is room") {
        match message {
            ControlMessageOwned::ScmCredentials(who) => sender = who.pid(),
            // SAFETY: they came just now, and nobody else knows of them.
            ControlMessageOwned::ScmRights(numbers) => fds.extend(
                numbers
                    .into_iter()
                    .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
            ),
            _ => {}
        }
    }
    let length = got.bytes;
    Some((
        sender,
        String::from_utf8_lossy(&bytes[..length]).into_owned(),
        fds,
    ))
}

/// Whether both are one open file, as systemd looks at it before it stores one twice.
fn same(one: &OwnedFd, other: &OwnedFd) -> bool {
    const FILE: i32 = 0;
    let own = std::process::id();
    // SAFETY: plain numbers.
    let differ = unsafe {
        libc::syscall(
            libc::SYS_kcmp,
            own,
            own,
            FILE,
            one.as_raw_fd(),
            other.as_raw_fd(),
        )
    };
    assert!(differ >= 0, "kcmp: {}", std::io::Error::last_os_error());
    differ == 0
}

/// The child has these descriptors from 3 on.
fn spawn_with(command: &mut Command, fds: Vec<RawFd>) -> Child {
    let arrange = move || {
        let mut high = [0; 1024];
        for (&fd, to) in fds.iter().zip(&mut high) {
            // SAFETY: plain numbers.
            *to = Errno::result(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 1500) })?;
        }
        for (&fd, to) in high[..fds.len()].iter().zip(3..) {
            // SAFETY: plain numbers.
            Errno::result(unsafe { libc::dup2(fd, to) })?;
        }
        Ok(())
    };
    // SAFETY: only system calls between fork and exec.
    unsafe { command.pre_exec(arrange) };
    command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start the service: {error}"))
}

/// A folder with a `systemctl` that has one job for whichever unit it is asked about, and a unit as ours
/// is; to be put before `PATH`.
#[must_use]
pub fn systemctl_with_job(home: &Home, job: &str) -> String {
    let folder = home.file("bin");
    fs::create_dir_all(&folder).expect("the work folder");
    let script = format!(
        "#!/bin/sh\nfor unit; do :; done\necho \"$@\" >> {}\n\
        case \"$*\" in *show*) printf 'KillMode=process\\nNFileDescriptorStore=7\\n' ;;\n\
        *) echo \"  42 $unit {job} running\" ;;\nesac\n",
        home.text_of("systemctl.calls")
    );
    let file = home.write("bin/systemctl", &script);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(file, mode).expect("our own file");
    let path = std::env::var("PATH").expect("a PATH");
    format!("{}:{path}", folder.display())
}
