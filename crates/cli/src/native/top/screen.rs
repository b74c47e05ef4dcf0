//! A terminal as a screen: lines that are drawn again and again, and the keys that are pressed meanwhile.

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::{
    io::{self, IsTerminal, Read, Write},
    thread,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

/// The terminal, taken over until this is dropped.
pub(crate) struct Screen {
    before: Termios,
    keys: UnboundedReceiver<u8>,
    resized: Signal,
    ended: Signal,
}

/// What happened while nothing was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The user has had enough.
    Quit,
    /// The terminal has another size.
    Resized,
}

impl Screen {
    /// Whether there is a terminal to read keys from and to draw on.
    pub(crate) fn is_there() -> bool {
        io::stdin().is_terminal()
            && io::stdout().is_terminal()
            && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
    }

    /// Takes the terminal over: keys come one by one and are not shown, and what stood there comes back afterwards.
    pub(crate) fn take() -> io::Result<Self> {
        let (resized, ended) = (signal(SignalKind::window_change())?, signal(SignalKind::terminate())?);
        let before = tcgetattr(io::stdin())?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        // Stopped by Ctrl-Z it would leave the terminal as it is.
        now.special_codes[SpecialCodeIndex::VSUSP] = 0;
        tcsetattr(io::stdin(), OptionalActions::Now, &now)?;
        let (pressed, keys) = unbounded_channel();
        // It ends with the process: a read from a terminal cannot be given up.
        thread::spawn(move || {
            for key in io::stdin().lock().bytes().map_while(Result::ok) {
                if pressed.send(key).is_err() {
                    break;
                }
            }
        });
        write("\x1b[?1049h\x1b[?25l");
        Ok(Self { before, keys, resized, ended })
    }

    /// Columns and rows.
    pub(crate) fn size() -> (usize, usize) {
        let size = terminal_size::terminal_size();
        size.map_or((80, 24), |(width, height)| (usize::from(width.0), usize::from(height.0)))
    }

    /// Draws these lines from the top; each must fit.
    #[expect(clippy::unused_self, reason = "who draws must have the screen")]
    pub(crate) fn draw(&self, lines: &[String]) {
        let text: Vec<String> = lines.iter().map(|line| format!("{line}\x1b[0m\x1b[K")).collect();
        write(&format!("\x1b[H{}\x1b[J", text.join("\r\n")));
    }

    /// Waits for something to happen.
    pub(crate) async fn event(&mut self) -> Event {
        loop {
            tokio::select! {
                key = self.keys.recv() => match key {
                    Some(b'q' | b'Q' | 3) | None => return Event::Quit,
                    Some(_) => {}
                },
                _ = tokio::signal::ctrl_c() => return Event::Quit,
                _ = self.ended.recv() => return Event::Quit,
                _ = self.resized.recv() => return Event::Resized,
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        write("\x1b[?25h\x1b[?1049l");
        // The terminal may have gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

fn write(text: &str) {
    let mut terminal = io::stdout().lock();
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}
