//! Tells when files change: by the system's word, or by looking.
//!
//! A folder that another machine writes to (a network mount, a folder of the host in a virtual machine) has no word for
//! us, although a watch on it succeeds. So where a folder is on such a file system, its files are read again and again.

use anyhow::Context as _;
use notify::{Config, Event, PollWatcher, RecursiveMode, Watcher, recommended_watcher};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// How often folders are looked through.
const POLL: Duration = Duration::from_millis(250);

/// A save comes as several events: what comes within this time is one.
const SETTLE: Duration = Duration::from_millis(15);

/// Watches folders of a project for as long as the first of what it answers is there; the second tells of changes.
pub(crate) fn watch(root: &Path, folders: &[&str], poll: bool) -> anyhow::Result<(Watching, Changes)> {
    let (sender, receiver) = sync_channel(1);
    let told = move |event: notify::Result<Event>| {
        if event.is_ok_and(|e| !e.kind.is_access()) {
            // full: the change is told of anyway
            sender.try_send(()).ok();
        }
    };
    let folders = folders.iter().map(|folder| root.join(folder)).filter(|folder| folder.is_dir());
    let watching = Watching::start(&folders.collect::<Vec<_>>(), poll, told)?;
    Ok((watching, Changes(receiver)))
}

/// Tells of changes, each time when they have settled.
#[derive(Debug)]
pub(crate) struct Changes(Receiver<()>);

impl Changes {
    /// Waits for the next; false when nobody watches any more.
    pub(crate) fn wait(&self) -> bool {
        if self.0.recv().is_err() {
            return false;
        }
        loop {
            match self.0.recv_timeout(SETTLE) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }
}

/// Watches until it is dropped.
pub(crate) struct Watching(
    #[expect(dead_code, reason = "dropping it ends the watch")] Box<dyn Watcher + Send>,
);

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Watching").finish()
    }
}

impl Watching {
    /// Watches folders and what is in them; looks through them if `poll` says so or the system tells of no changes.
    fn start(
        folders: &[PathBuf],
        poll: bool,
        told: impl Fn(notify::Result<Event>) + Send + Clone + 'static,
    ) -> anyhow::Result<Self> {
        let mute = folders.iter().find(|folder| is_mute(folder));
        let mut watcher = if poll || mute.is_some() { poller(told)? } else { listener(told)? };
        for folder in folders {
            let watched = watcher.watch(folder, RecursiveMode::Recursive);
            watched.with_context(|| format!("watch {}", folder.display()))?;
        }
        Ok(Self(watcher))
    }
}

/// The system's watcher; one that looks where it has none to give.
fn listener(
    told: impl Fn(notify::Result<Event>) + Send + Clone + 'static,
) -> anyhow::Result<Box<dyn Watcher + Send>> {
    match recommended_watcher(told.clone()) {
        Ok(watcher) => Ok(Box::new(watcher)),
        Err(error) => {
            tracing::warn!(%error, "the system gives no watch");
            poller(told)
        }
    }
}

fn poller(told: impl Fn(notify::Result<Event>) + Send + 'static) -> anyhow::Result<Box<dyn Watcher + Send>> {
    tracing::info!("the project's folders are looked through for changes every {POLL:?}");
    let config = Config::default().with_poll_interval(POLL).with_compare_contents(true);
    Ok(Box::new(PollWatcher::new(told, config).context("watch the project")?))
}

/// Whether a folder lies where changes of others are not told of.
#[cfg(target_os = "linux")]
fn is_mute(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|found| MUTE.iter().any(|(_, kind)| *kind == found.f_type as u32))
}

#[cfg(not(target_os = "linux"))]
fn is_mute(_: &Path) -> bool {
    false
}

/// File systems whose files others change without a word, by what `statfs` calls their kind.
#[cfg(target_os = "linux")]
const MUTE: [(&str, u32); 12] = [
    ("nfs", 0x6969),
    ("smb", 0x517b),
    ("cifs", 0xff53_4d42),
    ("smb2", 0xfe53_4d42),
    // WSL, Plan 9 folders of virtual machines
    ("9p", 0x0102_1997),
    // sshfs, virtiofs, the folders that Docker Desktop shares
    ("fuse", 0x6573_5546),
    ("vboxsf", 0x786f_4256),
    ("vmhgfs", 0xbacb_acbc),
    ("prl_fs", 0x7c7c_6673),
    ("ceph", 0x00c3_6400),
    ("afs", 0x5346_414f),
    ("coda", 0x7375_7245),
];
