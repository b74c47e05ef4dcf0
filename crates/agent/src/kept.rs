//! What a server would find in its directory if it were started now.

use crate::directory::MemberDirectory;
use std::{
    fs::{self, File},
    io::{BufReader, ErrorKind, Read},
    path::Path,
};

/// Before the fields of a snapshot stand five letters and four digits: the version of the form.
const MAGIC: usize = 9;
/// In a snapshot: a field about itself follows, a name and a value.
const FIELD: u8 = 0xFA;
/// In a snapshot: it ends here.
const END: u8 = 0xFF;

impl MemberDirectory {
    /// Whether there is data on disk that a server of this member would load, keys or functions: in a snapshot or in an append-only file, in
    /// the server's directory or one below. Files that cannot be read count as data.
    pub fn holds_data(&self) -> bool {
        holds_data(&self.data(), 1)
    }
}

fn holds_data(directory: &Path, below: u32) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        let ends = |word: &str| path.extension().is_some_and(|extension| extension == word);
        if path.is_dir() {
            below > 0 && holds_data(&path, below - 1)
        } else if is_begun(&path) {
            // Servers write a snapshot or a log under such a name before it is whole, and never load that.
            false
        } else if ends("rdb") {
            !is_empty_snapshot(&path)
        } else {
            ends("aof") && fs::metadata(&path).is_ok_and(|file| file.len() > 0) && !is_empty_snapshot(&path)
        }
    })
}

fn is_begun(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("temp-"))
}

/// Whether this is a snapshot without anything in it: nothing stands between the fields about itself and its end. The first part of an
/// append-only file is one, too.
fn is_empty_snapshot(path: &Path) -> bool {
    let file = match File::open(path) {
        Ok(file) => file,
        // Replaced by another one since it was listed: that is looked at, too.
        Err(error) => return error.kind() == ErrorKind::NotFound,
    };
    let mut snapshot = BufReader::new(file);
    let mut magic = [0; MAGIC];
    if snapshot.read_exact(&mut magic).is_err() || !(magic.starts_with(b"REDIS") || magic.starts_with(b"VALKEY")) {
        return false;
    }
    loop {
        match byte(&mut snapshot) {
            Some(FIELD) if text(&mut snapshot).is_some() && text(&mut snapshot).is_some() => {}
            Some(END) => return true,
            _ => return false,
        }
    }
}

fn byte(snapshot: &mut impl Read) -> Option<u8> {
    let mut byte = [0];
    snapshot.read_exact(&mut byte).ok()?;
    Some(byte[0])
}

/// Passes over a text; none where it is not one in a form that servers write there.
fn text(snapshot: &mut impl Read) -> Option<()> {
    let first = byte(snapshot)?;
    let low = u64::from(first & 0x3F);
    // Its length in six bits, or in fourteen; or a number of one, two or four bytes.
    let length = match (first >> 6, low) {
        (0, length) => length,
        (1, high) => (high << 8) | u64::from(byte(snapshot)?),
        (3, 0) => 1,
        (3, 1) => 2,
        (3, 2) => 4,
        _ => return None,
    };
    let passed = std::io::copy(&mut snapshot.take(length), &mut std::io::sink()).ok()?;
    (passed == length).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, MemberDirectory) {
        let root = tempfile::tempdir().unwrap();
        let directory = MemberDirectory::new(root.path());
        fs::create_dir_all(directory.data().join("appendonlydir")).unwrap();
        (root, directory)
    }

    const EMPTY: &[u8] =
        b"REDIS0010\xfa\x09redis-ver\x067.0.15\xfa\x0aredis-bits\xc0\x40\xfa\x05ctime\xc2\x01\x02\x03\x04\xff12345678";
    const ONE_KEY: &[u8] = b"VALKEY080\xfa\x0avalkey-ver\x059.1.2\xfe\x00\xfb\x01\x00\x00\x01a\x01b\xff12345678";

    #[test]
    fn what_a_server_makes_before_anything_is_written_is_no_data() {
        let (_root, directory) = place();
        assert!(!directory.holds_data());
        fs::write(directory.nodes_conf(), "…").unwrap();
        fs::write(directory.data().join("dump.rdb"), EMPTY).unwrap();
        fs::write(directory.data().join("temp-12.rdb"), ONE_KEY).unwrap();
        fs::write(directory.data().join("temp-rewriteaof-bg-13.aof"), b"REDIS0012").unwrap();
        let log = directory.data().join("appendonlydir");
        fs::write(log.join("appendonly.aof.1.base.rdb"), EMPTY).unwrap();
        fs::write(log.join("appendonly.aof.1.incr.aof"), "").unwrap();
        fs::write(log.join("appendonly.aof.manifest"), "file appendonly.aof.1.base.rdb seq 1 type b").unwrap();
        assert!(!directory.holds_data());
    }

    #[test]
    fn keys_in_a_snapshot_or_a_log_are_data_and_so_is_what_cannot_be_understood() {
        for (name, content) in [
            ("dump.rdb", ONE_KEY),
            ("dump.rdb", b"REDIS"),
            ("dump.rdb", b"REDIS0012\xfa\x83"),
            ("appendonly.aof", b"*2\r\n"),
            ("appendonlydir/appendonly.aof.2.incr.aof", b"*2\r\n"),
            ("appendonlydir/appendonly.aof.2.base.rdb", ONE_KEY),
        ] {
            let (_root, directory) = place();
            fs::write(directory.data().join(name), content).unwrap();
            assert!(directory.holds_data(), "{name}");
        }
    }
}
