//! Lines of others, none of which is kept longer than there is room for.

/// Bytes as they come, until they are lines.
#[derive(Debug)]
pub struct Lines {
    room: usize,
    line: Vec<u8>,
    more: u64,
}

impl Lines {
    /// So many bytes of each line are kept.
    pub fn new(room: usize) -> Self {
        Self {
            room,
            line: Vec::new(),
            more: 0,
        }
    }

    /// The lines that end in these bytes, without their ends.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut ended = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            let fits = text.len().min(self.room.saturating_sub(self.line.len()));
            let (kept, rest) = text.split_at(fits);
            self.line.extend_from_slice(kept);
            self.more = self.more.saturating_add(rest.len() as u64);
            if ends {
                ended.push(self.take());
            }
        }
        ended
    }

    /// What is left when no more comes.
    pub fn rest(&mut self) -> Option<String> {
        (!self.line.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let bytes = std::mem::take(&mut self.line);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(&bytes);
        let text = String::from_utf8_lossy(bytes).into_owned();
        match std::mem::take(&mut self.more) {
            0 => text,
            more => format!("{text} [{more} more bytes]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_they_come() {
        let text = b"one\r\n\ntwo\nthr\xffee";
        for size in 1..text.len() {
            let mut lines = Lines::new(80);
            let chunks = text.chunks(size);
            let mut found: Vec<String> = chunks.flat_map(|chunk| lines.feed(chunk)).collect();
            found.extend(lines.rest());
            assert_eq!(found, ["one", "", "two", "thr\u{fffd}ee"], "{size}");
            assert_eq!(lines.rest(), None);
        }
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_room_than_there_is() {
        let mut lines = Lines::new(4);
        for _ in 0..1000 {
            assert!(lines.feed(&[b'x'; 1000]).is_empty());
            assert!(lines.line.capacity() <= 8, "{}", lines.line.capacity());
        }
        let ended = lines.feed(b"\nnext\n");
        assert_eq!(ended, ["xxxx [999996 more bytes]", "next"]);
    }
}
