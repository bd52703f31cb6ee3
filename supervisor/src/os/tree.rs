//! The whole tree of a run, as `/proc` tells it.
//!
//! Owns: who belongs to a run, and the end of all of them. A process belongs when it is the main process
//! or below it; when its session or process group is the main process's; when it was orphaned, came to the
//! keeper (or, after a keeper's death, to somebody above it) and has the run's token as `SUPERVISOR_RUN` in
//! its environment; or when it is below one of those.
//! Promises: a signal goes through a pidfd, and only after the process behind it was recognised again;
//! never to the keeper, to this process or to pid 1.
//! Leaves to others: cgroups. What neither shares the session nor kept the token, and whose parents are all
//! dead, is not found: that takes a cgroup. Where a run has one, both count: a process that was moved out of
//! it (`su` does that, where each login has a scope of its own) is found here.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, SysconfVar, sysconf};

use super::orphans::{Look, Orphans};
use super::pidfd;
use super::proc::{self, Stat, Variable};

/// The first pause between two looks.
const SHORTEST: Duration = Duration::from_micros(500);

/// The variable that names the run.
pub const TOKEN_KEY: &str = "SUPERVISOR_RUN";

/// What is known of a run.
#[derive(Clone, Copy, Debug)]
pub struct Tree<'a> {
    /// The keeper: what loses its parent comes to it.
    pub keeper: i32,
    /// The run's main process, the leader of its session.
    pub main: i32,
    /// Whether the main process has not exited yet. Its number may belong to a stranger afterwards.
    pub main_alive: bool,
    /// The value of `SUPERVISOR_RUN` in the run's environment; no other run has it.
    pub token: &'a str,
}

/// What a tree uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of those that live now, in clock ticks.
    pub cpu_ticks: u64,
    /// Resident memory; pages that several share count for each.
    pub memory_bytes: u64,
    /// How many there are.
    pub processes: u32,
}

/// Whom [`kill_rest`] could not end in time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Their pids.
    pub pids: Vec<i32>,
}

impl Left {
    /// Nobody is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pids.is_empty()
    }
}

/// One look at all processes. For the trees of many runs, look once.
#[derive(Debug)]
pub struct Table {
    stats: BTreeMap<i32, Stat>,
    children: HashMap<i32, Vec<i32>>,
    /// By the numbers of sessions and of process groups.
    together: HashMap<i32, Vec<i32>>,
    /// Main processes of other runs: nobody's orphans.
    mains: HashSet<i32>,
    tokens: RefCell<HashMap<i32, Variable>>,
    orphans: OnceCell<HashMap<String, Vec<i32>>>,
}

impl Table {
    /// Looks at all processes.
    #[must_use]
    pub fn scan() -> Table {
        Table::of(proc::all(), HashSet::new())
    }

    /// Looks at the trees of `asked`, which are main processes, in the cheaper of two ways: at all
    /// processes of the machine, or down from each. `mains` are the main processes of all runs: nobody
    /// has to read their environments. What came to somebody above the keeper may be missed.
    #[must_use]
    pub fn look(keeper: i32, asked: Vec<i32>, mains: HashSet<i32>) -> Table {
        /// For so few, nobody even counts the machine's processes.
        const FEW: usize = 4;
        /// So many times as much as a look costs the way down.
        const DEARER: usize = 4;
        let Some(mut found) = proc::children(keeper) else {
            return Table::of(proc::all(), mains);
        };
        if asked.len() > FEW {
            let all = proc::all();
            if all.len() <= DEARER * asked.len() {
                return Table::of(all, mains);
            }
        }
        let mut seen: HashSet<i32> = mains.iter().copied().chain([own_pid()]).collect();
        found.retain(|&pid| seen.insert(pid));
        found.extend(asked);
        let mut next = 0;
        while let Some(&pid) = found.get(next) {
            next += 1;
            let below = proc::children(pid).unwrap_or_default();
            found.extend(below.into_iter().filter(|&child| seen.insert(child)));
        }
        found.push(keeper);
        Table::of(found, mains)
    }

    fn of(pids: Vec<i32>, mains: HashSet<i32>) -> Table {
        let stats: BTreeMap<i32, Stat> = pids
            .into_iter()
            .filter_map(|pid| Some((pid, proc::stat(pid)?)))
            .collect();
        let mut children = HashMap::<i32, Vec<i32>>::new();
        let mut together = HashMap::<i32, Vec<i32>>::new();
        for stat in stats.values() {
            children.entry(stat.ppid).or_default().push(stat.pid);
            together.entry(stat.session).or_default().push(stat.pid);
            if stat.pgrp != stat.session {
                together.entry(stat.pgrp).or_default().push(stat.pid);
            }
        }
        Table {
            stats,
            children,
            together,
            mains,
            tokens: RefCell::default(),
            orphans: OnceCell::new(),
        }
    }

    /// Processes that lost their parent and came to the keeper or to whoever reaps above it, by
    /// their tokens.
    fn orphans_of(&self, keeper: i32, token: &str) -> &[i32] {
        let by_token = self.orphans.get_or_init(|| {
            let mut found = HashMap::<String, Vec<i32>>::new();
            for &pid in self.line(keeper).flat_map(|reaper| self.below(reaper)) {
                if !self.mains.contains(&pid)
                    && let Variable::Is(token) = self.token(pid)
                {
                    found.entry(token).or_default().push(pid);
                }
            }
            found
        });
        by_token.get(token).map_or(&[], Vec::as_slice)
    }

    fn below(&self, pid: i32) -> &[i32] {
        self.children.get(&pid).map_or(&[], Vec::as_slice)
    }

    /// The process and everybody above it, nearest first.
    fn line(&self, pid: i32) -> impl Iterator<Item = i32> {
        let parent = |&pid: &i32| {
            self.stats
                .get(&pid)
                .map(|stat| stat.ppid)
                .filter(|&ppid| ppid > 0)
        };
        // Parents that changed while we looked could form a ring.
        std::iter::successors(Some(pid), parent).take(1000)
    }

    fn token(&self, pid: i32) -> Variable {
        let mut tokens = self.tokens.borrow_mut();
        tokens
            .entry(pid)
            .or_insert_with(|| self.read_token(pid))
            .clone()
    }

    /// One that just executes a program gets some time to show what it has.
    fn read_token(&self, pid: i32) -> Variable {
        let alive = self.stats.get(&pid).is_some_and(|stat| !stat.is_dead());
        let mut patience = if alive { 4 } else { 0 };
        loop {
            let token = proc::variable(pid, TOKEN_KEY);
            if token != Variable::Empty || patience == 0 {
                return token;
            }
            patience -= 1;
            sleep(SHORTEST);
        }
    }
}

impl Tree<'_> {
    /// Who belongs to it, by this look; the main process first if it lives. Zombies are left out.
    #[must_use]
    pub fn members_in(&self, table: &Table) -> Vec<i32> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::from([1, self.keeper, own_pid()]);
        if self.main_alive && self.is_main(table) {
            found.push(self.main);
        }
        found.extend(
            table
                .together
                .get(&self.main)
                .into_iter()
                .flatten()
                .filter_map(|pid| table.stats.get(pid))
                .filter(|stat| self.shares_session(table, stat))
                .map(|stat| stat.pid),
        );
        let orphans = table.orphans_of(self.keeper, self.token);
        found.extend(orphans.iter().filter(|&&pid| pid != self.main));
        found.retain(|&pid| seen.insert(pid));
        let mut next = 0;
        while let Some(&pid) = found.get(next) {
            next += 1;
            found.extend(table.below(pid).iter().filter(|&&child| seen.insert(child)));
        }
        found.retain(|pid| table.stats.get(pid).is_some_and(|stat| !stat.is_dead()));
        found
    }

    /// The caller may be a moment behind: whoever has the number now leads its session or has the token.
    fn is_main(&self, table: &Table) -> bool {
        let leads = table
            .stats
            .get(&self.main)
            .is_some_and(|main| main.session == self.main);
        leads || self.has_token(&table.token(self.main))
    }

    /// For whoever is in the session or group of that number. A number is not given out again while a session or group has it; but once the tree is empty, it may
    /// name a stranger's session. So, with the main process dead, it counts only together with the token, or
    /// below the keeper and without another run's token; and not at all when a new process has the number.
    fn shares_session(&self, table: &Table, stat: &Stat) -> bool {
        if self.main_alive && self.is_main(table) {
            return true;
        }
        if table
            .stats
            .get(&self.main)
            .is_some_and(|main| !main.is_dead())
        {
            return false;
        }
        match table.token(stat.pid) {
            Variable::Is(token) => token == self.token,
            Variable::Absent | Variable::Empty | Variable::Hidden => {
                table.line(stat.pid).any(|pid| pid == self.keeper)
            }
        }
    }

    fn has_token(&self, token: &Variable) -> bool {
        matches!(token, Variable::Is(token) if token == self.token)
    }

    /// What the tree uses, by this look.
    #[must_use]
    pub fn usage_in(&self, table: &Table) -> Usage {
        let page = page_size();
        let mut usage = Usage::default();
        for stat in self
            .members_in(table)
            .iter()
            .filter_map(|pid| table.stats.get(pid))
        {
            usage.cpu_ticks += stat.ticks;
            usage.memory_bytes += stat.rss_pages * page;
            usage.processes += 1;
        }
        usage
    }

    /// A pidfd of `pid`, if it is still the process that the table shows: same start, and alive after we
    /// looked, so that what we looked at was the one that the pidfd holds.
    fn hold(&self, table: &Table, pid: i32) -> Option<OwnedFd> {
        let shown = table.stats.get(&pid)?;
        let fd = pidfd::open(pid).ok()?;
        let now = proc::stat(pid)?;
        let same = (now.start, now.session, now.pgrp) == (shown.start, shown.session, shown.pgrp);
        (same && !pidfd::has_exited(&fd)).then_some(fd)
    }

    fn signal_one(&self, table: &Table, pid: i32, signal: Signal) {
        if let Some(fd) = self.hold(table, pid) {
            // It can only fail because the process is gone, or is not ours to kill; the next look tells.
            let _ = pidfd::send(&fd, signal);
        }
    }

    /// The main process's group in one call, which no fork inside it can escape.
    fn signal_group(&self, table: &Table, members: &[i32], signal: Signal) {
        let inside = |pid: &&i32| {
            table
                .stats
                .get(pid)
                .is_some_and(|stat| stat.pgrp == self.main)
        };
        let Some(&pid) = members.iter().find(inside) else {
            return;
        };
        let Some(held) = self.hold(table, pid) else {
            return;
        };
        // As with one process; a failure shows at the next look.
        let _ = if pid == self.main {
            pidfd::send_group(&held, pid, signal as i32)
        } else {
            // A living member, just recognised, keeps the number of the group from being given away.
            killpg(Pid::from_raw(self.main), signal)
        };
    }
}

/// Who belongs to the tree now; the main process first if it lives.
#[cfg(test)]
pub fn members(tree: &Tree<'_>) -> Vec<i32> {
    tree.members_in(&Table::scan())
}

/// What the tree uses now. For many trees: one [`Table`] and [`Tree::usage_in`].
#[cfg(test)]
pub fn usage(tree: &Tree<'_>) -> Usage {
    tree.usage_in(&Table::scan())
}

/// After the main process's exit: true when certainly nothing is left that [`Tree::members_in`] would find, told
/// without a look at all processes. `known` says which children of the keeper belong elsewhere.
///
/// Only for a run whose main process was this keeper's child: orphans of a keeper before are not its own.
#[must_use]
pub fn quick_empty(tree: &Tree<'_>, known: impl Fn(i32) -> bool) -> bool {
    if tree.main_alive || tree.main <= 1 {
        return false;
    }
    // Any other answer, EPERM included, means that somebody is in the group.
    killpg(Pid::from_raw(tree.main), None) == Err(Errno::ESRCH)
        && Orphans::new(*tree, false).look(6, known) == Look::Clear
}

/// Kills every member, and looks again, until nobody is left or the time is over; goes round once at least.
///
/// All are stopped before the first is killed: what stands still does not fork, and a parent that sees its
/// child die could start another.
pub fn kill_rest(tree: &Tree<'_>, deadline: Duration) -> Left {
    let end = Instant::now() + deadline;
    let mut tree = *tree;
    let mut table = Table::scan();
    let main_start = table.stats.get(&tree.main).map(|main| main.start);
    let mut pause = SHORTEST;
    let mut killed = false;
    // One for all rounds: it remembers since when it has been in doubt about somebody.
    let mut orphans = Orphans::new(tree, true);
    loop {
        let members = tree.members_in(&table);
        let over = Instant::now() >= end;
        if over && killed {
            return Left { pids: members };
        }
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            tree.signal_group(&table, &members, signal);
            for &pid in &members {
                tree.signal_one(&table, pid, signal);
            }
        }
        // One that forks and exits all the time has a new number before a look at everybody is done. But
        // each of its numbers comes to the keeper: look there only, and strike at once.
        orphans.tree = tree;
        let look = orphans.look(200, |_| false);
        if members.is_empty() && (look == Look::Clear || !proc::tells_children()) {
            return Left::default();
        }
        killed = true;
        sleep(pause.min(end.saturating_duration_since(Instant::now())));
        pause = (pause * 2).min(Duration::from_millis(10));
        table = Table::scan();
        // From its death on, the main process's number may become a stranger's.
        let same = |main: &Stat| Some(main.start) == main_start && !main.is_dead();
        tree.main_alive &= table.stats.get(&tree.main).is_some_and(same);
    }
}

/// Bytes of a page of memory.
pub fn page_size() -> u64 {
    static SIZE: OnceLock<u64> = OnceLock::new();
    let ask = || sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    *SIZE.get_or_init(|| ask().map_or(4096, i64::unsigned_abs))
}

fn own_pid() -> i32 {
    static OWN: OnceLock<i32> = OnceLock::new();
    *OWN.get_or_init(|| Pid::this().as_raw())
}
