//! Where a lab lives: a directory for its disks, its socket, and a lock by which others
//! know that it is up. All of it goes when `weft-lab up` ends, however it ends.

use std::{
    fs::{self, File, TryLockError},
    io::ErrorKind,
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use options::NotReady;

use crate::{
    lines,
    words::{Found, Machine, Reply, Request, Status},
};

/// Reads to the end of a pipe that this process alone has open. Whoever has the lock then
/// has another lab of this name. A process that has just been killed may still write for
/// a moment.
const SWEEP: &str = r#"read -r nothing
[ -d "$3" ] && exec 9>>"$2" && flock -w 1 9 || exit 0
for try in 1 2 3 4 5 6 7 8 9; do
    rm -rf "$1" 2>/dev/null && break
    sleep 0.2
done
rm -f "$2"
rmdir "$3" 2>/dev/null"#;
/// How long that may take.
const SWEPT: Duration = Duration::from_secs(2);
/// Of the end of a lab.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
pub struct Home {
    name: String,
    labs: PathBuf,
}

/// Nobody else has this lab while this lives.
pub struct Held {
    _lock: File,
    /// Its input ends with this process.
    _sweeper: Child,
}

impl Home {
    pub fn new(labs: &Path, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            labs: labs.to_owned(),
        }
    }

    /// Those that are up, or were and were not swept.
    pub fn all(labs: &Path) -> Result<Vec<Self>> {
        let entries = match fs::read_dir(labs) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("read {}", labs.display()))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            names.extend(name.strip_suffix(".lock").map(ToOwned::to_owned));
        }
        names.sort_unstable();
        Ok(names.iter().map(|name| Self::new(labs, name)).collect())
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Of its disks.
    pub fn directory(&self) -> PathBuf {
        self.labs.join(&self.name)
    }

    pub fn socket(&self) -> PathBuf {
        self.directory().join("socket")
    }

    /// Takes it for this process. What is left of one that could not sweep goes.
    pub fn hold(&self) -> Result<Held> {
        let (labs, directory, lock) = (&self.labs, self.directory(), self.lock());
        // Before there is anything to be swept.
        let mut sweeper = Command::new("setsid");
        sweeper.args(["sh", "-c", SWEEP, "sweep"]);
        sweeper.args([&directory, &lock, labs]);
        sweeper.stdin(Stdio::piped());
        sweeper.stdout(Stdio::null()).stderr(Stdio::null());
        let sweeper = sweeper.spawn().context("start setsid")?;
        fs::create_dir_all(labs).with_context(|| format!("make {}", labs.display()))?;
        let file = self.locked()?;
        if directory.exists() {
            let removed = fs::remove_dir_all(&directory);
            removed.with_context(|| format!("remove {}", directory.display()))?;
        }
        fs::create_dir(&directory).with_context(|| format!("make {}", directory.display()))?;
        Ok(Held {
            _lock: file,
            _sweeper: sweeper,
        })
    }

    /// One that is being swept is soon free.
    fn locked(&self) -> Result<File> {
        let (lock, began) = (self.lock(), Instant::now());
        loop {
            let file = File::create(&lock).with_context(|| format!("make {}", lock.display()))?;
            match file.try_lock() {
                // The sweeper removes the file while it has the lock.
                Ok(()) if is_at(&file, &lock) => return Ok(file),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if began.elapsed() < SWEPT => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => bail!(
                    "a lab {0:?} is up already: end it with `weft-lab down --name {0}`, \
                     or give this one another --name",
                    self.name
                ),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("lock {}", lock.display()));
                }
            }
        }
    }

    /// Whether a process holds it.
    pub fn is_held(&self) -> bool {
        let file = File::open(self.lock());
        file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }

    pub fn ask(&self, request: &Request) -> Result<Reply> {
        let stream = UnixStream::connect(self.socket()).map_err(|_| {
            let name = &self.name;
            NotReady(match self.is_held() {
                true => format!("the lab {name:?} is not up yet"),
                false => {
                    format!("no lab {name:?} is up: `weft-lab up --name {name}` brings one up")
                }
            })
        })?;
        lines::say(&stream, request)?;
        match lines::hear(&stream).context("the lab ended meanwhile")? {
            Reply::Refused(reason) => bail!("{reason}"),
            reply => Ok(reply),
        }
    }

    pub fn status(&self) -> Result<Status> {
        match self.ask(&Request::Status)? {
            Reply::Status(status) => Ok(status),
            other => bail!("the lab answered {other:?}"),
        }
    }

    pub fn find(&self, machine: Machine) -> Result<Found> {
        match self.ask(&Request::Find(machine))? {
            Reply::Found(found) => Ok(found),
            other => bail!("the lab answered {other:?}"),
        }
    }

    /// Waits until nothing of it is left.
    pub fn down(&self) -> Result<()> {
        self.ask(&Request::Down)?;
        let began = Instant::now();
        while self.directory().exists() || self.lock().exists() {
            ensure!(
                began.elapsed() < PATIENCE,
                "{} is still there after {PATIENCE:?}",
                self.directory().display()
            );
            thread::sleep(Duration::from_millis(20));
        }
        println!("lab {:?} is down", self.name);
        Ok(())
    }

    fn lock(&self) -> PathBuf {
        self.labs.join(format!("{}.lock", self.name))
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(one), Ok(other)) => one.ino() == other.ino(),
        _ => false,
    }
}

/// It becomes part of a path.
pub fn parse_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let good = (1..=32).contains(&text.len()) && text.chars().all(fits);
    good.then(|| text.to_owned())
        .ok_or_else(|| "a lab's name has 1 to 32 letters, digits and dashes".to_owned())
}
