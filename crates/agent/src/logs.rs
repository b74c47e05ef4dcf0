//! Keeps logs small, and reads their ends.

use rustix::fs::fstat;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::Path,
};

/// A server's log is put aside at the next start when it is longer than this, in bytes.
pub(crate) const SERVER_LOG: u64 = 16 << 20;
/// An agent's log is put aside at the next start when it is longer than this, in bytes.
pub(crate) const AGENT_LOG: u64 = 1 << 20;
/// As much of a log's end is looked at, in bytes.
const END: u64 = 8 << 10;
/// No line that is shown is longer, in characters.
const LINE: usize = 300;

/// Opens a log to write at its end; a log that has become too long is put aside first, over the one put aside before.
pub(crate) fn open(path: &Path, longest: u64) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > longest) {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".1");
        fs::rename(path, aside)?;
    }
    OpenOptions::new().append(true).create(true).open(path)
}

/// Puts the log aside that standard error goes to when it has become too long, and leads standard error to a new one.
///
/// Does nothing when standard error goes elsewhere.
pub(crate) fn renew_standard_error(path: &Path, longest: u64) -> io::Result<()> {
    let Ok(metadata) = fs::metadata(path) else { return Ok(()) };
    let ours = fstat(io::stderr())?;
    if metadata.len() > longest && (metadata.dev(), metadata.ino()) == (ours.st_dev, ours.st_ino) {
        rustix::stdio::dup2_stderr(open(path, longest)?)?;
    }
    Ok(())
}

/// The last lines, at most `count`, behind the first `from` bytes of a log; none when it cannot be read.
pub(crate) fn last_lines(path: &Path, from: u64, count: usize) -> Vec<String> {
    let text = end(path, from).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut lines: Vec<String> = text.lines().rev().filter_map(shown).take(count).collect();
    lines.reverse();
    lines
}

fn end(path: &Path, from: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    // A log that is shorter than it was has been emptied by somebody.
    let from = if from > length { 0 } else { from };
    file.seek(SeekFrom::Start(from.max(length.saturating_sub(END))))?;
    let mut text = Vec::new();
    file.take(END).read_to_end(&mut text)?;
    Ok(text)
}

/// A line as it can be shown on a terminal; none when nothing of it can be seen.
fn shown(line: &str) -> Option<String> {
    let line: String = line.chars().filter(|character| !character.is_control()).take(LINE).collect();
    (!line.trim().is_empty()).then(|| line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_long_log_is_put_aside_and_a_short_one_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.log");
        open(&path, 10).unwrap().write_all(b"12345678").unwrap();
        open(&path, 10).unwrap().write_all(b"9ab").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"123456789ab");
        open(&path, 10).unwrap().write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(directory.path().join("server.log.1")).unwrap(), b"123456789ab");
    }

    #[test]
    fn the_last_lines_are_those_of_the_last_run_and_can_be_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.log");
        fs::write(&path, "old\n1\n2\n\n\u{1b}[31m3\n4\n5\n6").unwrap();
        assert_eq!(last_lines(&path, 4, 5), ["2", "[31m3", "4", "5", "6"]);
        assert_eq!(last_lines(&path, 4, 9).len(), 6);
        assert_eq!(last_lines(&path, 1000, 9).len(), 7);
        assert_eq!(last_lines(&directory.path().join("none"), 0, 5), [""; 0]);
    }

    #[test]
    fn only_the_end_of_a_long_log_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.log");
        fs::write(&path, "x".repeat(1 << 20) + "\nlast\n").unwrap();
        let lines = last_lines(&path, 0, 5);
        assert_eq!(lines[0].len(), LINE);
        assert_eq!(lines[1..], ["last"]);
    }
}
