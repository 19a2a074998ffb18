//! Disks: an ext4 file system each, in a file, on a loop device. They can lose their power, fill up and be damaged.
//!
//! **A power cut.** `kill -9` never tests syncing, since the kernel keeps what was written. ext4 can be told to go down
//! without writing its journal out (`EXT4_IOC_SHUTDOWN` with `NOLOGFLUSH`): what was not synced is then lost as in a
//! real power cut, and what was synced is not.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::tools;

/// What tells ext4 to go down. Python, since calling the kernel so takes unsafe code here.
const SHUT_DOWN: &str = "import fcntl, os, struct, sys\n\
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

/// How long a file system that nobody should use any more may be busy.
const BUSY_AT_MOST: Duration = Duration::from_secs(60);

/// The file that fills a disk up.
const FILLER: &str = "filler";

/// A disk.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    mount_point: PathBuf,
}

impl Disk {
    /// Makes a disk of so many bytes, of which only those take room that are written, and mounts it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(image: PathBuf, mount_point: PathBuf, bytes: u64) -> Result<Self> {
        fs::create_dir_all(&mount_point)
            .with_context(|| format!("{} cannot be made", mount_point.display()))?;
        let file =
            File::create(&image).with_context(|| format!("{} cannot be made", image.display()))?;
        file.set_len(bytes).context("a disk's size cannot be set")?;
        // No blocks are kept back for root, which is who the processes are.
        tools::run("mkfs.ext4", &["-q", "-F", "-m", "0", text(&image)?])?;
        let disk = Self { image, mount_point };
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn mount_point(&self) -> &Path {
        &self.mount_point
    }

    /// Mounts it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn mount(&self) -> Result<()> {
        let options = ["-t", "ext4", "-o", "loop"];
        let paths = [text(&self.image)?, text(&self.mount_point)?];
        tools::run("mount", &[&options[..], &paths].concat()).map(drop)
    }

    /// Unmounts it, as soon as nobody uses it any more.
    ///
    /// # Errors
    /// When somebody goes on using it.
    pub fn unmount(&self) -> Result<()> {
        unmount(&self.mount_point)
    }

    /// Cuts its power: from now on it takes nothing, and what was not synced is lost. Whoever uses it has to
    /// be ended before it is unmounted and mounted again.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cut_power(&self) -> Result<()> {
        tools::run("python3", &["-c", SHUT_DOWN, text(&self.mount_point)?]).map(drop)
    }

    /// Fills it up to its last block.
    ///
    /// # Errors
    /// When the filler cannot be made.
    pub fn fill(&self) -> Result<()> {
        let path = self.mount_point.join(FILLER);
        let file = File::create(&path).context("a disk cannot be filled")?;
        let mut piece = 64 << 20;
        let mut end = 0;
        while piece >= 4096 {
            let flags = rustix::fs::FallocateFlags::empty();
            match rustix::fs::fallocate(&file, flags, end, piece) {
                Ok(()) => end += piece,
                Err(rustix::io::Errno::NOSPC) => piece /= 2,
                Err(error) => return Err(error).context("a disk cannot be filled"),
            }
        }
        Ok(())
    }

    /// Frees what [`Self::fill`] took.
    ///
    /// # Errors
    /// When the filler cannot be removed.
    pub fn free(&self) -> Result<()> {
        fs::remove_file(self.mount_point.join(FILLER)).context("a disk cannot be freed")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // There is nobody to tell; the next run takes away what is left.
        drop(self.unmount());
        drop(fs::remove_file(&self.image));
    }
}

fn unmount(mount_point: &Path) -> Result<()> {
    let began = Instant::now();
    loop {
        let unmounted = tools::run("umount", &[text(mount_point)?]);
        if unmounted.is_ok() || began.elapsed() > BUSY_AT_MOST {
            return unmounted.map(drop);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Unmounts what is mounted below a folder, and gives back its loop devices.
///
/// # Errors
/// When something stays mounted.
pub(super) fn clear(folder: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("no list of mounts")?;
    let below = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1).map(Path::new))
        .filter(|mount_point| mount_point.starts_with(folder));
    for mount_point in below.collect::<Vec<_>>().into_iter().rev() {
        unmount(mount_point)?;
    }
    let devices = tools::run(
        "losetup",
        &["--list", "--noheadings", "--output", "NAME,BACK-FILE"],
    )?;
    for line in devices.lines() {
        let Some((device, file)) = line.trim().split_once(' ') else {
            continue;
        };
        if Path::new(file.trim()).starts_with(folder) {
            tools::run("losetup", &["--detach", device])?;
        }
    }
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is no text", path.display()))
}
