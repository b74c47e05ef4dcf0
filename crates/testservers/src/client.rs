//! A tiny blocking client for plain connections: one command at a time, protocol version 2.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

/// For connecting, and for every read and write.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to one server.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects to the server on this port of the machine, within 5 seconds.
    ///
    /// # Errors
    /// When nobody accepts.
    pub fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a command and waits for its reply, 5 seconds at most.
    ///
    /// The reply as text: strings and numbers as they are, elements of arrays one a line, nil as nothing, errors with
    /// the leading `-`.
    pub fn call(&mut self, arguments: &[&str]) -> io::Result<String> {
        self.send(arguments)?;
        read_reply(&mut self.stream)
    }

    /// Sends a command and waits for nothing.
    ///
    /// # Errors
    /// When the connection is broken, or takes nothing for 5 seconds.
    pub fn send(&mut self, arguments: &[&str]) -> io::Result<()> {
        self.stream.get_mut().write_all(&encode(arguments))
    }
}

fn encode(arguments: &[&str]) -> Vec<u8> {
    let lengths_and_arguments = arguments.iter().map(|argument| format!("${}\r\n{argument}\r\n", argument.len()));
    [format!("*{}\r\n", arguments.len())].into_iter().chain(lengths_and_arguments).collect::<String>().into_bytes()
}

fn read_reply(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = line.trim_end();
    let unreadable = || io::Error::new(io::ErrorKind::InvalidData, format!("not a reply: {line:?}"));
    let (kind, rest) = line.split_at_checked(1).ok_or_else(unreadable)?;
    match kind {
        "+" | ":" => Ok(rest.to_owned()),
        "-" => Ok(line.to_owned()),
        "$" => read_bulk(stream, rest.parse().map_err(|_| unreadable())?),
        "*" => {
            let count: i64 = rest.parse().map_err(|_| unreadable())?;
            let elements: io::Result<Vec<_>> = (0..count).map(|_| read_reply(stream)).collect();
            Ok(elements?.join("\n"))
        }
        _ => Err(unreadable()),
    }
}

/// A string of `length` bytes and the line end after it; a negative length is nil.
fn read_bulk(stream: &mut impl BufRead, length: i64) -> io::Result<String> {
    let Ok(length) = usize::try_from(length) else { return Ok(String::new()) };
    let mut bytes = vec![0; length + 2];
    stream.read_exact(&mut bytes)?;
    bytes.truncate(length);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_count_bytes() {
        assert_eq!(encode(&["GET", "ä"]), "*2\r\n$3\r\nGET\r\n$2\r\nä\r\n".as_bytes());
    }

    #[test]
    fn every_kind_of_reply_becomes_text() {
        for (sent, text) in [
            ("+PONG\r\n", "PONG"),
            ("-ERR no\r\n", "-ERR no"),
            (":7\r\n", "7"),
            ("$4\r\na\r\nb\r\n", "a\r\nb"),
            ("$-1\r\n", ""),
            ("*-1\r\n", ""),
            ("*2\r\n:1\r\n*2\r\n$1\r\na\r\n+b\r\n", "1\na\nb"),
        ] {
            assert_eq!(read_reply(&mut sent.as_bytes()).unwrap(), text, "{sent:?}");
        }
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for sent in ["", "\r\n", "HTTP/1.1 400\r\n", "$x\r\n", "$5\r\nab\r\n"] {
            assert!(read_reply(&mut sent.as_bytes()).is_err(), "{sent:?}");
        }
    }
}
