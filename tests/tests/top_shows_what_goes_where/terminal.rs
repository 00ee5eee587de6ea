//! A terminal, by `script`.

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::{Context, Result, ensure};
use tests::{lab::Lab, process, wait::patiently};

/// A terminal in which somebody types.
pub struct Terminal {
    child: Child,
    keys: ChildStdin,
    sent: Arc<Mutex<String>>,
}

/// Says which terminal it is and how it is set, before and after.
const SESSION: &str = "stty rows 20 cols 90; tty; echo \"is $(stty -g)\"
    sh -c 'echo \"pid $$\"; exec weft top --interval 300ms'
    echo \"code $?\"; echo \"is $(stty -g)\"";
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";

impl Terminal {
    pub fn start(lab: &Lab) -> Result<Self> {
        let mut command = lab.controllers[0].place().command("script");
        command.args(["-qefc", SESSION, "/dev/null"]);
        let weft = process::weft("weft")?;
        let beside = weft.parent().context("a directory")?.display();
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{beside}:{path}"));
        command.env("WEFT_CONTROLLER", lab.controller_urls()?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = process::keep(command)?;
        let keys = child.stdin.take().context("its keys")?;
        let mut screen = child.stdout.take().context("its screen")?;
        let sent = Arc::new(Mutex::new(String::new()));
        let heard = sent.clone();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..length]);
                heard
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_str(&text);
            }
        });
        Ok(Self { child, keys, sent })
    }

    pub fn sent(&self) -> String {
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What is behind this word, to the end of its line.
    pub fn said(&self, word: &str) -> Result<Vec<String>> {
        let sent = self.sent();
        let lines = sent.lines().filter_map(|line| {
            let (_, rest) = line.split_once(word)?;
            Some(rest.trim().to_owned())
        });
        Ok(lines.collect())
    }

    /// The last page that is there as a whole.
    pub fn page(&self) -> Result<Vec<String>> {
        let sent = self.sent();
        let (pages, _) = sent.rsplit_once("\u{1b}[J").context("no page yet")?;
        let (_, page) = pages.rsplit_once("\u{1b}[H").context("a page begins")?;
        let lines = page.lines().map(|line| line.replace("\u{1b}[K", ""));
        let lines = lines.map(|line| line.trim_end().to_owned());
        Ok(lines.collect())
    }

    pub fn press(&mut self, key: &[u8]) -> Result<()> {
        Ok(self.keys.write_all(key)?)
    }

    /// It ended well, and the terminal is as it was.
    pub fn ends(mut self) -> Result<()> {
        patiently("it ends", || {
            self.child.try_wait()?.with_context(|| self.sent())
        })?;
        patiently("all that was sent is here", || {
            let set = self.said("is ")?;
            ensure!(set.len() == 2 && set[0] == set[1], "{}", self.sent());
            ensure!(self.said("code ")? == ["0"], "{}", self.sent());
            let sent = self.sent();
            let (_, after) = sent.rsplit_once(ENTER).context("a screen of its own")?;
            ensure!(after.matches(LEAVE).count() == 1, "{sent}");
            Ok(())
        })
    }
}
