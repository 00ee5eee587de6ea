//! The whole terminal, for as long as this is held; afterwards it is as it was.

use std::{
    io::{self, IsTerminal, Read, Write},
    thread,
};

use options::table;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use crate::failure::Failure;

/// Another screen beside the one with what was typed before, and no cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";
const CTRL_C: u8 = 3;

pub struct Screen {
    /// As the terminal was, if keys are read from one.
    before: Option<Termios>,
    keys: mpsc::UnboundedReceiver<u8>,
    resized: Signal,
    ended: [Signal; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    End,
    Resized,
}

impl Screen {
    pub fn open() -> Result<Self, Failure> {
        let on = |kind| signal(kind).map_err(Failure::Runtime);
        let resized = on(SignalKind::window_change())?;
        let ended = [
            on(SignalKind::interrupt())?,
            on(SignalKind::terminate())?,
            on(SignalKind::hangup())?,
        ];
        let (press, keys) = mpsc::unbounded_channel();
        let before = io::stdin().is_terminal().then(quiet).transpose()?;
        // From here on whatever happens is undone.
        let screen = Self {
            before,
            keys,
            resized,
            ended,
        };
        if screen.before.is_some() {
            // It waits in a read that nothing ends but the process.
            thread::spawn(move || {
                let mut key = [0];
                while let Ok(1) = io::stdin().read(&mut key)
                    && press.send(key[0]).is_ok()
                {}
            });
        }
        send(ENTER)?;
        Ok(screen)
    }

    /// Draws what fits its size now, over what was there.
    pub fn show(
        &self,
        draw: impl FnOnce(Option<usize>, Option<usize>) -> String,
    ) -> Result<(), Failure> {
        let (width, height) = (table::terminal_width(), table::terminal_height());
        // A full last line would scroll.
        let text = draw(width, height.map(|height| height.saturating_sub(1)));
        let mut bytes = "\x1b[H".to_owned();
        for line in text.lines() {
            bytes += &table::plain(line);
            bytes += "\x1b[K\r\n";
        }
        bytes += "\x1b[J";
        send(bytes.as_bytes())
    }

    /// Cancel-safe: a key or a signal that nobody has waited for is kept.
    pub async fn key(&mut self) -> Key {
        let [interrupt, terminate, hangup] = &mut self.ended;
        let is_read = self.before.is_some();
        loop {
            tokio::select! {
                key = self.keys.recv(), if is_read => match key {
                    // The terminal is gone.
                    None => return Key::End,
                    Some(b'q' | b'Q' | CTRL_C) => return Key::End,
                    Some(_) => {}
                },
                _ = self.resized.recv() => return Key::Resized,
                _ = interrupt.recv() => return Key::End,
                _ = terminate.recv() => return Key::End,
                _ = hangup.recv() => return Key::End,
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody is left to be told where this fails.
        let _ = send(LEAVE);
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}

/// As it is: it tells the terminal what to do.
fn send(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// Keys come one by one, are not shown, and make no signals: the terminal as it was.
fn quiet() -> Result<Termios, Failure> {
    let failed = |errno: rustix::io::Errno| Failure::Output(errno.into());
    let before = tcgetattr(io::stdin()).map_err(failed)?;
    let mut quiet = before.clone();
    quiet.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
    tcsetattr(io::stdin(), OptionalActions::Now, &quiet).map_err(failed)?;
    Ok(before)
}
