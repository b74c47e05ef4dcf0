//! Where commands end in what a client sends.

/// Longer lines are no headers of commands, but a payload such as a snapshot.
const LONGEST_LINE: usize = 64 * 1024;

/// Follows one connection's requests: arrays of bulk strings, and lines of words.
#[derive(Clone, Debug, Default)]
pub(super) struct Commands {
    line: Vec<u8>,
    arguments_left: u64,
    body_left: usize,
}

impl Commands {
    /// Reads until `limit` commands have ended; returns how many bytes that took and how many commands did.
    pub(super) fn read(&mut self, bytes: &[u8], limit: u64) -> (usize, u64) {
        let (mut rest, mut ended) = (bytes, 0);
        while ended < limit && !rest.is_empty() {
            let (taken, has_ended) = if self.body_left > 0 { self.skip_body(rest) } else { self.read_line(rest) };
            rest = rest.get(taken..).unwrap_or_default();
            ended += u64::from(has_ended);
        }
        (bytes.len() - rest.len(), ended)
    }

    fn skip_body(&mut self, bytes: &[u8]) -> (usize, bool) {
        let taken = bytes.len().min(self.body_left);
        self.body_left -= taken;
        if self.body_left > 0 {
            return (taken, false);
        }
        self.arguments_left = self.arguments_left.saturating_sub(1);
        (taken, self.arguments_left == 0)
    }

    fn read_line(&mut self, bytes: &[u8]) -> (usize, bool) {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(bytes.len(), |end| end + 1);
        self.line.extend(bytes.iter().take(taken));
        if end.is_none() {
            if self.line.len() > LONGEST_LINE {
                self.line.clear();
            }
            return (taken, false);
        }
        let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        self.line.clear();
        (taken, self.header(&line))
    }

    /// Whether this line is a whole command.
    fn header(&mut self, line: &str) -> bool {
        if let Some(length) = line.strip_prefix('$').and_then(|length| length.parse::<usize>().ok()) {
            self.body_left = length + 2;
            self.arguments_left = self.arguments_left.max(1);
            return false;
        }
        if let Some(count) = line.strip_prefix('*').and_then(|count| count.parse().ok()) {
            self.arguments_left = count;
            return false;
        }
        self.arguments_left = 0;
        !line.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[u8] = b"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$6\r\na\r\n*1\n\r\nPING\r\n";

    #[test]
    fn commands_end_where_they_end_however_they_are_cut_into_pieces() {
        for piece in 1..=TWO.len() {
            let mut commands = Commands::default();
            let ended: u64 = TWO.chunks(piece).map(|bytes| commands.read(bytes, u64::MAX).1).sum();
            assert_eq!(ended, 3, "pieces of {piece}");
        }
    }

    #[test]
    fn reading_stops_at_the_end_of_the_last_command_that_was_asked_for() {
        assert_eq!(Commands::default().read(TWO, 0), (0, 0));
        assert_eq!(Commands::default().read(TWO, 1), (14, 1));
        assert_eq!(Commands::default().read(TWO, 9), (TWO.len(), 3));
    }
}
