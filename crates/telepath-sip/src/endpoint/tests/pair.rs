//! A caller and a callee connected by a seeded network that loses, duplicates and reorders datagrams, in virtual time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::{
    CallHandle, Endpoint, EndpointConfig, EndpointSeed, Event, Flow, NextHop, OutgoingCall, SessionIntervals,
    TraceRecord,
};
use crate::digest::{ClientCredentials, Password};
use crate::message::{HostPort, SdpBody, SipUri};

pub(super) fn caller_addr() -> SocketAddr {
    "192.0.2.10:5070".parse().unwrap()
}

pub(super) fn callee_addr() -> SocketAddr {
    "192.0.2.20:5060".parse().unwrap()
}

/// The flow of the caller's datagrams, as the callee sees it.
pub(super) fn from_caller() -> Flow {
    Flow::udp(callee_addr(), caller_addr())
}

/// The flow of the callee's datagrams, as the caller sees it.
pub(super) fn from_callee() -> Flow {
    Flow::udp(caller_addr(), callee_addr())
}

pub(super) fn sdp(text: &str) -> SdpBody {
    SdpBody::new(text.as_bytes())
}

/// A small random number generator whose sequence for a seed never changes (xorshift64).
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Packet loss and duplication in percent, and the maximum delay of a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct NetworkConditions {
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) delay_ms: u64,
}

pub(super) const RELIABLE: NetworkConditions = NetworkConditions { lost: 0, duplicated: 0, delay_ms: 1 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Caller,
    Callee,
}

pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) caller: Endpoint,
    pub(super) callee: Endpoint,
    pub(super) caller_events: Vec<Event>,
    pub(super) callee_events: Vec<Event>,
    pub(super) callee_trace: Vec<TraceRecord>,
    /// Datagrams in flight by time of arrival; the number distinguishes equal times.
    in_flight: BTreeMap<(Instant, u64), (Side, Vec<u8>)>,
    sent: u64,
    conditions: NetworkConditions,
    rng: Rng,
    /// A text in the caller's datagrams that the network replaces by another.
    rewrite: Option<(&'static str, &'static str)>,
    /// All datagrams sent.
    pub(super) log: Vec<(Side, String)>,
}

impl Pair {
    pub(super) fn new(seed: u64, conditions: NetworkConditions) -> Self {
        Self::with(seed, conditions, SessionIntervals::default())
    }

    /// Both endpoints have the same session intervals.
    pub(super) fn with(
        seed: u64,
        conditions: NetworkConditions,
        session_intervals: SessionIntervals,
    ) -> Self {
        let make = |addr, byte| {
            let config = EndpointConfig { session_intervals, ..EndpointConfig::new(addr) };
            Endpoint::new(config, EndpointSeed([byte; 32]))
        };
        Self {
            now: Instant::now(),
            caller: make(caller_addr(), 1),
            callee: make(callee_addr(), 2),
            caller_events: Vec::new(),
            callee_events: Vec::new(),
            callee_trace: Vec::new(),
            in_flight: BTreeMap::new(),
            sent: 0,
            conditions,
            rng: Rng::new(seed),
            rewrite: None,
            log: Vec::new(),
        }
    }

    pub(super) fn call(&mut self, credentials: Option<(&str, &str)>) -> CallHandle {
        let uri = |user, addr| SipUri::new(Some(user), HostPort::from(addr)).unwrap();
        let invite = OutgoingCall {
            target: uri("support", callee_addr()),
            next_hop: NextHop::udp(callee_addr()),
            from: uri("alice", caller_addr()),
            offer: Some(sdp("v=0 offer")),
            credentials: credentials.map(|(username, password)| ClientCredentials {
                username: username.to_owned(),
                password: Password::new(password),
            }),
        };
        let call = self.caller.invite(invite, self.now).unwrap();
        self.settle();
        call
    }

    /// Sends the datagrams of both endpoints and collects their events.
    pub(super) fn settle(&mut self) {
        for side in [Side::Caller, Side::Callee] {
            let (endpoint, events, to) = match side {
                Side::Caller => (&mut self.caller, &mut self.caller_events, Side::Callee),
                Side::Callee => (&mut self.callee, &mut self.callee_events, Side::Caller),
            };
            while let Some(out) = endpoint.poll_transmit() {
                self.log.push((side, String::from_utf8_lossy(&out.payload).into_owned()));
                let copies = match self.rng.below(100) {
                    n if n < self.conditions.lost => 0,
                    n if n < self.conditions.lost + self.conditions.duplicated => 2,
                    _ => 1,
                };
                for _ in 0..copies {
                    let delay = Duration::from_millis(1 + self.rng.below(self.conditions.delay_ms));
                    self.sent += 1;
                    let payload = match self.rewrite.filter(|_| side == Side::Caller) {
                        Some((from, to)) => {
                            String::from_utf8_lossy(&out.payload).replace(from, to).into_bytes()
                        }
                        None => out.payload.to_vec(),
                    };
                    self.in_flight.insert((self.now + delay, self.sent), (to, payload));
                }
            }
            while let Some(event) = endpoint.poll_event() {
                events.push(event);
            }
            while let Some(record) = endpoint.poll_trace() {
                if side == Side::Callee {
                    self.callee_trace.push(record);
                }
            }
        }
    }

    /// The time of the next arrival or timer.
    fn next_step(&self) -> Option<Instant> {
        let arrival = self.in_flight.first_key_value().map(|((at, _), _)| *at);
        [arrival, self.caller.poll_timeout(), self.callee.poll_timeout()].into_iter().flatten().min()
    }

    /// Advances the time to the next arrival or timer; false if there is none.
    pub(super) fn step(&mut self) -> bool {
        let Some(at) = self.next_step() else { return false };
        self.now = self.now.max(at);
        while let Some(entry) = self.in_flight.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let (to, bytes) = entry.remove();
            match to {
                Side::Caller => self.caller.handle_message(from_callee(), &bytes, self.now),
                Side::Callee => self.callee.handle_message(from_caller(), &bytes, self.now),
            }
        }
        self.caller.handle_timeout(self.now);
        self.callee.handle_timeout(self.now);
        self.settle();
        true
    }

    /// Runs until `pick` selects an event of the callee.
    pub(super) fn until_callee<T>(&mut self, pick: impl Fn(&Event) -> Option<T>) -> T {
        loop {
            if let Some(found) = self.callee_events.iter().find_map(&pick) {
                return found;
            }
            assert!(self.step(), "no more events; callee saw {:?}", self.callee_events);
        }
    }

    /// Runs until `pick` selects an event of the caller.
    pub(super) fn until_caller<T>(&mut self, pick: impl Fn(&Event) -> Option<T>) -> T {
        loop {
            if let Some(found) = self.caller_events.iter().find_map(&pick) {
                return found;
            }
            assert!(self.step(), "no more events; caller saw {:?}", self.caller_events);
        }
    }

    /// Runs for a time.
    pub(super) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.next_step().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = end;
    }

    /// Runs until nothing is pending and checks that no state is left.
    pub(super) fn drain(&mut self) {
        while self.step() {}
        assert_eq!(self.caller.counts(), super::super::EndpointCounts::default(), "leak at the caller");
        assert_eq!(self.callee.counts(), super::super::EndpointCounts::default(), "leak at the callee");
    }

    pub(super) fn incoming(&mut self) -> CallHandle {
        self.until_callee(|event| match event {
            Event::Incoming(incoming) => Some(incoming.call),
            _ => None,
        })
    }

    /// An established call.
    pub(super) fn established(seed: u64, conditions: NetworkConditions) -> (Self, CallHandle, CallHandle) {
        Self::new(seed, conditions).establish()
    }

    /// From now on, nothing arrives.
    pub(super) fn lose_everything(&mut self) {
        self.conditions.lost = 100;
        self.in_flight.clear();
    }

    /// The callee accepts no shorter session interval.
    pub(super) fn require_callee_interval(&mut self, min: Duration) {
        let session_intervals = SessionIntervals { min, preferred: None };
        let config = EndpointConfig { session_intervals, ..EndpointConfig::new(callee_addr()) };
        self.callee = Endpoint::new(config, EndpointSeed([3; 32]));
    }

    /// The caller requires reliable provisional responses.
    pub(super) fn require_reliable(&mut self) {
        self.rewrite = Some(("Supported: timer, 100rel\r\n", "Supported: timer\r\nRequire: 100rel\r\n"));
    }

    /// Places a call and accepts it.
    pub(super) fn establish(self) -> (Self, CallHandle, CallHandle) {
        let mut pair = self;
        let ours = pair.call(None);
        let theirs = pair.incoming();
        pair.callee.ring(theirs, pair.now).unwrap();
        pair.callee.accept(theirs, &sdp("v=0 answer"), pair.now).unwrap();
        pair.settle();
        pair.until_callee(|event| matches!(event, Event::Confirmed { .. }).then_some(()));
        pair.until_caller(|event| matches!(event, Event::Answered { .. }).then_some(()));
        (pair, ours, theirs)
    }
}
