//! Bounds the audio that is on its way to an agent, wherever it is: in the buffers of both kernels, of proxies, and of
//! the agent's WebSocket library. The kernel acknowledges what it has buffered, not what the agent has read, so pings
//! between the audio show how far the agent has come (RFC 6455 section 5.5.3: a pong answers a ping and those before it).

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use telepath_media::media_clock::samples_in;

/// Pings within a full window.
const PINGS: u64 = 4;

#[derive(Debug)]
pub(super) struct SendWindow {
    /// In samples, like all positions below.
    limit: u64,
    sent: u64,
    acknowledged: u64,
    /// What had been sent when the latest ping was sent.
    pinged: u64,
    /// Unanswered pings: number, and what had been sent before each.
    pings: VecDeque<(u64, u64)>,
    next_ping: u64,
}

impl SendWindow {
    pub(super) fn new(limit: Duration) -> Self {
        let limit = samples_in(limit).max(1);
        Self { limit, sent: 0, acknowledged: 0, pinged: 0, pings: VecDeque::new(), next_ping: 0 }
    }

    /// Whether more audio may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.sent - self.acknowledged < self.limit
    }

    pub(super) fn note_sent(&mut self, samples: u64) {
        self.sent += samples;
    }

    /// Whether enough audio was sent since the latest ping.
    pub(super) fn needs_ping(&self) -> bool {
        (self.sent - self.pinged) * PINGS >= self.limit
    }

    /// The application data of the next ping.
    pub(super) fn ping(&mut self) -> Bytes {
        let number = self.next_ping;
        self.next_ping += 1;
        self.pinged = self.sent;
        self.pings.push_back((number, self.sent));
        Bytes::copy_from_slice(&number.to_be_bytes())
    }

    /// Handles a pong. An unsolicited one acknowledges nothing.
    pub(super) fn handle_pong(&mut self, data: &[u8]) {
        let Ok(number) = data.try_into().map(u64::from_be_bytes) else { return };
        if !self.pings.iter().any(|(ping, _)| *ping == number) {
            return;
        }
        while let Some((ping, sent)) = self.pings.pop_front() {
            self.acknowledged = sent;
            if ping == number {
                return;
            }
        }
    }

    /// Whether a ping is unanswered.
    pub(super) fn awaits_pong(&self) -> bool {
        !self.pings.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u64 = 160;

    /// Sends frames until the window is full and returns their number and the pings.
    fn fill(window: &mut SendWindow) -> (u64, Vec<Bytes>) {
        let (mut frames, mut pings) = (0, Vec::new());
        while window.has_room() {
            window.note_sent(FRAME);
            frames += 1;
            if window.needs_ping() {
                pings.push(window.ping());
            }
        }
        (frames, pings)
    }

    #[test]
    fn an_agent_that_does_not_read_gets_at_most_one_window_of_audio() {
        let mut window = SendWindow::new(Duration::from_secs(1));
        let (frames, pings) = fill(&mut window);
        assert_eq!((frames, pings.len()), (50, 3));
        assert!(window.awaits_pong() && !window.has_room());
    }

    #[test]
    fn a_pong_acknowledges_the_audio_before_its_ping_and_all_earlier_ones() {
        let mut window = SendWindow::new(Duration::from_secs(1));
        let (_, pings) = fill(&mut window);
        window.handle_pong(&pings[1]);
        // A ping follows each 13 frames, which is a quarter of the window.
        assert_eq!(fill(&mut window).0, 26);
        window.handle_pong(&pings[2]);
        assert_eq!(fill(&mut window).0, 13);
    }

    #[test]
    fn unsolicited_and_repeated_pongs_acknowledge_nothing() {
        let mut window = SendWindow::new(Duration::from_secs(1));
        let (_, pings) = fill(&mut window);
        for data in [&b""[..], b"hello", &[0xff; 8], &[0; 125]] {
            window.handle_pong(data);
        }
        assert!(!window.has_room());
        window.handle_pong(&pings[0]);
        let (frames, _) = fill(&mut window);
        window.handle_pong(&pings[0]);
        assert_eq!((frames, window.has_room()), (13, false));
    }

    #[test]
    fn an_agent_that_reads_is_never_blocked() {
        let mut window = SendWindow::new(Duration::from_secs(1));
        let mut pending = VecDeque::new();
        // Pongs arrive 500 ms late.
        for n in 0..10_000u64 {
            assert!(window.has_room(), "frame {n}");
            window.note_sent(FRAME);
            if window.needs_ping() {
                pending.push_back((n + 25, window.ping()));
            }
            while pending.front().is_some_and(|(at, _)| *at <= n) {
                window.handle_pong(&pending.pop_front().unwrap().1);
            }
        }
    }
}
