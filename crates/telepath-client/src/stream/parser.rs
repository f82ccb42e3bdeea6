//! Bytes in, events out.

/// The largest event, in bytes.
pub(super) const MAX_EVENT: usize = 1024 * 1024;

/// An event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEvent {
    /// `request`, `alert`, `gap`, or the name of an event of a call, such as `call.started`.
    pub name: String,
    /// JSON.
    pub data: String,
}

/// What was received and is not an event yet.
#[derive(Debug, Default)]
pub(super) struct Parser {
    buffer: Vec<u8>,
    last_id: Option<String>,
}

impl Parser {
    /// Takes bytes; false if an event is too large.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        self.buffer.extend_from_slice(bytes);
        self.buffer.len() <= MAX_EVENT || self.end_of_event().is_some()
    }

    pub(super) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    fn end_of_event(&self) -> Option<usize> {
        self.buffer.windows(2).position(|pair| pair == b"\n\n")
    }

    /// The next whole event with data.
    pub(super) fn next_event(&mut self) -> Option<StreamEvent> {
        while let Some(end) = self.end_of_event() {
            let rest = self.buffer.split_off(end + 2);
            let event = std::mem::replace(&mut self.buffer, rest);
            if let Some(event) = self.read(&String::from_utf8_lossy(&event)) {
                return Some(event);
            }
        }
        None
    }

    fn read(&mut self, text: &str) -> Option<StreamEvent> {
        let (mut name, mut data) = (String::new(), Vec::new());
        for line in text.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut name),
                "data" => data.push(value),
                "id" => self.last_id = Some(value.to_owned()),
                // Comments, and fields that this client does not use.
                _ => {}
            }
        }
        (!data.is_empty()).then(|| StreamEvent { name, data: data.join("\n") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_the_bytes_are_split() {
        let text = "retry: 2000\n\n: comment\n\nevent: call.started\ndata: {\"to\":\"é\"}\n\nid: 7\n\n\
            event: request\ndata: {}\nid: 8\n\n";
        for size in [1, 2, 3, 7, text.len()] {
            let (mut parser, mut seen) = (Parser::default(), Vec::new());
            for part in text.as_bytes().chunks(size) {
                assert!(parser.push(part));
                seen.extend(std::iter::from_fn(|| parser.next_event()));
            }
            let event = |name: &str, data: &str| StreamEvent { name: name.to_owned(), data: data.to_owned() };
            assert_eq!(seen, [event("call.started", "{\"to\":\"é\"}"), event("request", "{}")], "{size}");
            assert_eq!(parser.last_id(), Some("8"));
        }
    }

    #[test]
    fn an_event_without_an_end_is_too_large_at_a_bound() {
        let mut parser = Parser::default();
        assert!(parser.push(&vec![b'x'; MAX_EVENT]));
        assert!(!parser.push(b"x"));
    }
}
