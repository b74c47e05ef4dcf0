//! The commands of a replication stream, from bytes that come in pieces.

/// The most words of a command, as the servers take them.
const MOST_WORDS: usize = 1024 * 1024;
/// The most bytes of a word: the servers' default `proto-max-bulk-len`.
const LONGEST_WORD: usize = 512 * 1024 * 1024;
/// The most bytes of a command: the servers' default `client-query-buffer-limit`.
const LONGEST_COMMAND: usize = 1024 * 1024 * 1024;
/// A number with its sign and end is no longer than this.
const LONGEST_LINE: usize = 32;

/// A command, word by word.
type Words = Vec<Vec<u8>>;

/// Reads commands; what is known of one that has not come whole is kept.
#[derive(Debug, Default)]
pub(super) struct CommandParser {
    words: Words,
    /// How many words are still to begin.
    to_come: usize,
    /// How much is missing of the last of the words; none between two words.
    missing: Option<usize>,
    /// Bytes of all words.
    bytes: usize,
}

impl CommandParser {
    /// Reads up to the end of a command, or as far as possible: how many bytes were taken, and the command when it is whole.
    ///
    /// # Errors
    /// Says what is no command.
    pub(super) fn feed(&mut self, input: &[u8]) -> Result<(usize, Option<Words>), String> {
        let mut rest = input;
        loop {
            let before = rest.len();
            match self.missing {
                Some(missing) => self.word(missing, &mut rest)?,
                None => self.head(&mut rest)?,
            }
            let taken = input.len() - rest.len();
            if self.to_come == 0 && self.missing.is_none() && !self.words.is_empty() {
                self.bytes = 0;
                return Ok((taken, Some(std::mem::take(&mut self.words))));
            }
            if rest.len() == before {
                return Ok((taken, None));
            }
        }
    }

    /// Takes of a word and its end what has come.
    fn word(&mut self, missing: usize, rest: &mut &[u8]) -> Result<(), String> {
        if missing > 0 {
            let (taken, behind) = rest.split_at(missing.min(rest.len()));
            if let Some(word) = self.words.last_mut() {
                word.extend_from_slice(taken);
            }
            self.missing = Some(missing - taken.len());
            *rest = behind;
            return Ok(());
        }
        match rest {
            [b'\r', b'\n', behind @ ..] => {
                *rest = behind;
                self.missing = None;
                Ok(())
            }
            [] | [b'\r'] => Ok(()),
            _ => Err("a word is longer than announced".to_owned()),
        }
    }

    /// Takes a line that announces words or a word.
    fn head(&mut self, rest: &mut &[u8]) -> Result<(), String> {
        let Some(end) = rest.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n') else {
            return if rest.len() < LONGEST_LINE { Ok(()) } else { Err(no_number(rest)) };
        };
        let (line, behind) = rest.split_at(end);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        *rest = behind.strip_prefix(b"\n").unwrap_or(behind);
        if self.to_come > 0 {
            let length = number(line, b"$", LONGEST_WORD)?;
            self.bytes += length;
            if self.bytes > LONGEST_COMMAND {
                return Err("a command has no end".to_owned());
            }
            self.to_come -= 1;
            self.words.push(Vec::new());
            self.missing = Some(length);
        } else if !line.is_empty() {
            // Between commands, an empty line shows that the server is there.
            self.to_come = number(line, b"*", MOST_WORDS)?;
        }
        Ok(())
    }
}

fn number(line: &[u8], sign: &[u8], most: usize) -> Result<usize, String> {
    let number = line.strip_prefix(sign).and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
    number.filter(|number| *number <= most).ok_or_else(|| no_number(line))
}

fn no_number(bytes: &[u8]) -> String {
    let shown = bytes.get(..bytes.len().min(LONGEST_LINE)).unwrap_or_default();
    format!("a command begins with \"{}\"", shown.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn encoded(commands: &[Words]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for words in commands {
            bytes.extend(format!("*{}\r\n", words.len()).bytes());
            for word in words {
                bytes.extend(format!("${}\r\n", word.len()).bytes());
                bytes.extend_from_slice(word);
                bytes.extend_from_slice(b"\r\n");
            }
        }
        bytes
    }

    /// The commands of these bytes when they come in pieces of such sizes, and how many bytes were taken.
    fn read(bytes: &[u8], pieces: &[usize]) -> Result<(Vec<Words>, usize), String> {
        let (mut parser, mut commands) = (CommandParser::default(), Vec::new());
        let (mut taken, mut come) = (0, 0);
        let mut pieces = pieces.iter().cycle();
        while come < bytes.len() {
            come = (come + pieces.next().unwrap()).min(bytes.len());
            loop {
                let (count, command) = parser.feed(&bytes[taken..come])?;
                taken += count;
                match command {
                    Some(command) => commands.push(command),
                    None => break,
                }
            }
        }
        Ok((commands, taken))
    }

    proptest! {
        #[test]
        fn commands_are_read_in_whatever_pieces_they_come(
            commands in vec(vec(vec(any::<u8>(), 0..70), 1..5), 0..6),
            pieces in vec(1_usize..40, 1..5),
        ) {
            let bytes = encoded(&commands);
            prop_assert_eq!(read(&bytes, &pieces), Ok((commands, bytes.len())));
        }

        #[test]
        fn whatever_comes_is_read_or_refused(bytes in vec(any::<u8>(), 0..200), pieces in vec(1_usize..40, 1..5)) {
            let _ = read(&bytes, &pieces);
        }

        #[test]
        fn a_flipped_bit_is_read_or_refused(
            commands in vec(vec(vec(any::<u8>(), 0..20), 1..4), 1..4),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let mut bytes = encoded(&commands);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let _ = read(&bytes, &[7]);
        }
    }

    #[test]
    fn empty_lines_between_commands_are_counted_and_left_out() {
        let ping = vec![vec![b"PING".to_vec()]];
        assert_eq!(read(b"\n\r\n*1\r\n$4\r\nPING\r\n\n", &[1]), Ok((ping, 18)));
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for bytes in [
            "PING\r\n",
            "*x\r\n",
            "*-1\r\n",
            "*1\r\n4\r\n",
            "*1\r\n$-1\r\n",
            "*1\r\n$1\r\nab\r\n",
            "*1\r\n\r\n",
            "*2000000\r\n",
            "*1\r\n$600000000\r\n",
            "*000000000000000000000000000000000000",
        ] {
            assert!(read(bytes.as_bytes(), &[3]).is_err(), "{bytes}");
        }
    }
}
