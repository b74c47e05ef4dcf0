//! From a new connection to the beginning of the snapshot.

use super::wire::{Wire, puzzled};
use crate::{ConnectOptions, probe};
use operations::port::{ReplicationOptions, TlsTrouble, Trouble};
use secrecy::ExposeSecret;
use std::net::{IpAddr, SocketAddr};
use tokio::time::timeout;

/// A reply is no longer than this, bytes: the reasons that servers give are sentences.
const LONGEST: usize = 16 * 1024;

/// What the server answers to `PSYNC ? -1`.
pub(super) struct FullSync {
    /// The replication offset of the snapshot.
    pub(super) offset: u64,
    pub(super) payload: Payload,
}

/// How the snapshot comes.
pub(super) enum Payload {
    /// So many bytes.
    Sized(u64),
    /// Bytes up to this mark, which is not in them.
    Marked([u8; 40]),
}

/// Authenticates where there is a password, and asks for everything. The server is given by address, and whether it speaks TLS.
pub(super) async fn full_sync(
    wire: &mut Wire,
    (ip, port, tls): (IpAddr, u16, bool),
    how: &ConnectOptions,
    options: ReplicationOptions,
) -> Result<FullSync, Trouble> {
    let introduced = introduce(wire, how, options).await;
    // The first replies tell whether it is such a server at all.
    match introduced {
        Err(Trouble::Closed | Trouble::Protocol(_)) if !tls && probe::speaks_tls(SocketAddr::new(ip, port)).await => {
            return Err(Trouble::Tls(TlsTrouble::ServerSpeaksTls));
        }
        other => other?,
    }
    wire.queue(&[b"PSYNC", b"?", b"-1"]);
    wire.flush().await?;
    let answer = not_empty(wire).await?;
    let offset = offset(&answer)?;
    let payload = payload(&not_empty(wire).await?)?;
    Ok(FullSync { offset, payload })
}

async fn introduce(wire: &mut Wire, how: &ConnectOptions, options: ReplicationOptions) -> Result<(), Trouble> {
    if let Some(password) = &how.credentials.password {
        let password = password.expose_secret().as_bytes();
        match &how.credentials.user {
            Some(user) => wire.queue(&[b"AUTH", user.as_bytes(), password]),
            None => wire.queue(&[b"AUTH", password]),
        }
        // A server without a password takes everybody: the one given may be for the others.
        accepted(wire, how, "without any password configured").await?;
    }
    let mut settings: Vec<&[&[u8]]> = vec![&[b"REPLCONF", b"capa", b"psync2"]];
    if options.diskless {
        settings.push(&[b"REPLCONF", b"capa", b"eof"]);
    }
    if options.snapshot_only {
        settings.push(&[b"REPLCONF", b"rdb-only", b"1"]);
    }
    for setting in settings {
        wire.queue(setting);
        // Older servers do without.
        accepted(wire, how, "Unrecognized REPLCONF option").await?;
    }
    Ok(())
}

/// Sends what is queued, and takes an answer that is no refusal but for this reason.
async fn accepted(wire: &mut Wire, how: &ConnectOptions, but: &str) -> Result<(), Trouble> {
    let answered = async {
        wire.flush().await?;
        wire.line(LONGEST).await
    };
    let patience = how.read_timeout;
    let line = timeout(patience, answered).await.map_err(|_| Trouble::ReadTimedOut(patience))??;
    match line.split_first() {
        Some((b'+', _)) => Ok(()),
        Some((b'-', reason)) => {
            let reason = String::from_utf8_lossy(reason);
            if reason.contains(but) { Ok(()) } else { Err(Trouble::from_refusal(&reason)) }
        }
        _ => Err(puzzled(&line)),
    }
}

/// The next line that says something: while a server makes its snapshot, an empty one comes every second.
async fn not_empty(wire: &mut Wire) -> Result<Vec<u8>, Trouble> {
    loop {
        let line = wire.line(LONGEST).await?;
        match line.split_first() {
            None => {}
            Some((b'-', reason)) => return Err(Trouble::from_refusal(&String::from_utf8_lossy(reason))),
            Some(_) => return Ok(line),
        }
    }
}

/// The offset of `+FULLRESYNC replication-id offset`.
fn offset(line: &[u8]) -> Result<u64, Trouble> {
    let text = String::from_utf8_lossy(line);
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        ["+FULLRESYNC", _, offset] => offset.parse().map_err(|_| puzzled(line)),
        _ => Err(puzzled(line)),
    }
}

/// `$LENGTH`, or `$EOF:` and a mark.
fn payload(line: &[u8]) -> Result<Payload, Trouble> {
    let payload = match line.strip_prefix(b"$EOF:") {
        Some(mark) => mark.try_into().ok().map(Payload::Marked),
        None => {
            line.strip_prefix(b"$").and_then(|length| Some(Payload::Sized(str::from_utf8(length).ok()?.parse().ok()?)))
        }
    };
    payload.ok_or_else(|| puzzled(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_that_of_a_full_resync() {
        assert_eq!(offset(b"+FULLRESYNC 8c81ad86aadb5d8af02d8c11c03d15dcb20ea9ea 1234"), Ok(1234));
        for line in ["+CONTINUE", "+FULLRESYNC x", "+FULLRESYNC x -1", "+OK", "HTTP/1.1 400"] {
            assert!(matches!(offset(line.as_bytes()), Err(Trouble::Protocol(_))), "{line}");
        }
    }

    #[test]
    fn a_snapshot_has_a_length_or_a_mark() {
        assert!(matches!(payload(b"$12"), Ok(Payload::Sized(12))));
        let mark = b"$EOF:0123456789012345678901234567890123456789";
        assert!(matches!(payload(mark), Ok(Payload::Marked(mark)) if mark.ends_with(b"789")));
        for line in ["$", "$-1", "$x", "$EOF:short", "$EOF:01234567890123456789012345678901234567890", "+12"] {
            assert!(matches!(payload(line.as_bytes()), Err(Trouble::Protocol(_))), "{line}");
        }
    }
}
