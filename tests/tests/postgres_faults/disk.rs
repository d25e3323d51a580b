//! The server's disk is full.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use weir_log::conformance::server::folder;
use weir_tests::faults::{Postgres, Run, times};
use weir_tests::{PATIENCE, eventually};

/// A small disk, unmounted when it is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount() -> Self {
        let disk = Self(folder().expect("a folder is made"));
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=200m", "tmpfs"]).arg(&disk.0).status();
        assert!(mount.expect("mount runs").success(), "mounting needs root");
        disk
    }

    /// Writes a file until there is no room left.
    fn fill(&self) -> PathBuf {
        let ballast = self.0.join("ballast");
        let mut file = std::fs::File::create(&ballast).expect("there is room for a file");
        let megabyte = vec![1; 1 << 20];
        while file.write_all(&megabyte).is_ok() {}
        ballast
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // lazily: the server is still about to remove what is in it
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
        // what it was mounted on is ours to remove, not the server's
        std::fs::remove_dir(&self.0).ok();
    }
}

/// The server refuses what it has no room for, or ends; then there is room again, and an operator starts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a tmpfs"]
async fn a_server_whose_disk_is_full_is_waited_for() {
    let disk = Disk::mount();
    let settings = "-c min_wal_size=32MB -c max_wal_size=48MB";
    let postgres = Postgres::start_in(disk.0.clone(), settings);
    let mut run = Run::start(postgres, "disk full, and room again", 1).await;
    for _ in 0..times(1, 5) {
        let failed = run.failed();
        let ballast = disk.fill();
        eventually(PATIENCE, || {
            let is_felt = run.failed() > failed;
            async move { if is_felt { Ok(()) } else { Err("there still seems to be room") } }
        })
        .await;
        std::fs::remove_file(&ballast).expect("it is there");
        start_again(&run, &disk.0);
        run.recover().await;
    }
    run.finish().await;
}

fn start_again(run: &Run<Postgres>, folder: &Path) {
    use weir_log::conformance::server::Server;
    if Server::control(folder, &["status"]).is_err() {
        run.ground.restart("immediate");
    }
}
