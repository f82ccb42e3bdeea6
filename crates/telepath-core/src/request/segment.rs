//! Segments: requests of about half a second in one block of bytes. A block names its routes, errors and user agents in a
//! table of its own, so it can be read when the program's tables have changed; every number has a variable length
//! (LEB128), so that an ordinary request takes about 60 bytes.
//!
//! Version 2 says in each entry whether a key or a user sent the request. In version 1, which is read but not written any
//! more, every entry is of a key.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{RequestCaller, RequestFacts, RequestMethod, RequestRecord, SecretMark};
use crate::clock::Timestamp;
use crate::id::{Id as _, KeyId, RequestId, UserId};

/// The version of segments that are written.
const VERSION: u8 = 2;
/// The version in which every entry is of a key.
const VERSION_KEYS_ONLY: u8 = 1;
/// The most bytes of a segment: reading one must never take long.
pub const MAX_BYTES: usize = 256 * 1024;
/// The maximum size of an entry without the names that it refers to.
const MAX_ENTRY: usize = 128 + super::text::MAX_PATH;

const V6: u8 = 1;
const ADMITTED: u8 = 2;
const SUM: u8 = 4;
const HAS_PATH: u8 = 8;

const OF_KEY: u8 = 0;
const OF_USER: u8 = 1;

/// The bytes are not a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a segment of the request log")]
pub struct Malformed;

/// One request, or a sum of requests whose details were dropped, as stored in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logged<'a> {
    /// The request id; the nil id for a sum.
    pub id: RequestId,
    /// The facts that all forms of a request share.
    pub facts: RequestFacts,
    /// Method and path of its route, such as `GET /v1/trunks/{id}`.
    pub label: Option<&'a str>,
    /// Its path, when the route has more than one or there is no route.
    pub own_path: Option<&'a str>,
    /// The name of its error.
    pub error: Option<&'a str>,
    /// The `User-Agent` header.
    pub user_agent: Option<&'a str>,
    /// The number of requests in a sum; `None` for a single request with its details.
    pub sum: Option<u64>,
}

impl<'a> Logged<'a> {
    /// The number of requests that it counts for.
    pub fn requests(&self) -> u64 {
        self.sum.unwrap_or(1)
    }

    /// The path of its route.
    pub fn route(&self) -> Option<&'a str> {
        self.label.and_then(|label| label.split_once(' ')).map(|(_, path)| path)
    }

    pub fn path(&self) -> &'a str {
        self.own_path.or_else(|| self.route()).unwrap_or_default()
    }

    /// The request on its own, without the id of its secret.
    pub fn to_record(&self) -> RequestRecord {
        RequestRecord {
            id: self.id,
            facts: self.facts,
            secret_id: None,
            route: self.route().map(str::to_owned),
            path: self.path().to_owned(),
            error: self.error.map(str::to_owned),
            user_agent: self.user_agent.map(str::to_owned),
        }
    }
}

/// Puts a segment together.
#[derive(Debug, Default)]
pub struct SegmentWriter {
    names: HashMap<Box<str>, u64>,
    names_encoded: Vec<u8>,
    entries: Vec<u8>,
    count: u64,
    first: Option<Timestamp>,
    previous_ms: i64,
}

impl SegmentWriter {
    /// Whether one more entry could make the segment larger than [`MAX_BYTES`].
    pub fn is_full(&self) -> bool {
        self.names_encoded.len() + self.entries.len() + MAX_ENTRY + 1024 > MAX_BYTES
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The time of the earliest request.
    pub fn first(&self) -> Option<Timestamp> {
        self.first
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: &Logged<'_>) {
        let facts = &entry.facts;
        let (label, error) = (self.name(entry.label), self.name(entry.error));
        let user_agent = self.name(entry.user_agent);
        let out = &mut self.entries;
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let method = RequestMethod::ALL.iter().position(|method| *method == facts.method).unwrap_or(0);
        out.push(
            flag(facts.address.is_ipv6(), V6)
                | flag(facts.admitted, ADMITTED)
                | flag(entry.sum.is_some(), SUM)
                | flag(entry.own_path.is_some(), HAS_PATH)
                | u8::try_from(method << 4).unwrap_or(0),
        );
        put_signed(out, facts.at.unix_ms().wrapping_sub(self.previous_ms));
        self.previous_ms = facts.at.unix_ms();
        match entry.sum {
            Some(requests) => put(out, requests),
            None => out.extend_from_slice(entry.id.as_bytes()),
        }
        match facts.caller {
            RequestCaller::Key { key, secret } => {
                out.push(OF_KEY);
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(&secret.0);
            }
            RequestCaller::User(user) => {
                out.push(OF_USER);
                out.extend_from_slice(user.as_bytes());
            }
        }
        for number in [label, error, user_agent, u64::from(facts.status), facts.duration_us] {
            put(out, number);
        }
        match facts.address {
            IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
        }
        if let Some(path) = entry.own_path {
            put_text(out, path);
        }
        self.count += 1;
        self.first = Some(self.first.map_or(facts.at, |first| first.min(facts.at)));
    }

    /// The number of a name; 0 is none.
    fn name(&mut self, name: Option<&str>) -> u64 {
        let Some(name) = name else { return 0 };
        if let Some(number) = self.names.get(name) {
            return *number;
        }
        let number = self.names.len() as u64 + 1;
        self.names.insert(name.into(), number);
        put_text(&mut self.names_encoded, name);
        number
    }

    /// The segment's bytes.
    pub fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + self.names_encoded.len() + self.entries.len());
        bytes.push(VERSION);
        put(&mut bytes, self.names.len() as u64);
        bytes.extend_from_slice(&self.names_encoded);
        put(&mut bytes, self.count);
        bytes.extend_from_slice(&self.entries);
        bytes
    }
}

/// Reads a segment of any version, all of it, in the order in which it was written.
pub fn read(bytes: &[u8]) -> Result<Vec<Logged<'_>>, Malformed> {
    let mut reader = Reader(bytes);
    let read_caller = match reader.byte()? {
        VERSION => Reader::caller,
        VERSION_KEYS_ONLY => Reader::key,
        _ => return Err(Malformed),
    };
    let names = reader.count()?;
    let names: Vec<&str> = (0..names).map(|_| reader.text()).collect::<Result<_, _>>()?;
    let count = reader.count()?;
    let mut entries = Vec::with_capacity(count);
    let mut previous_ms = 0;
    for _ in 0..count {
        let entry = reader.entry(&names, previous_ms, read_caller)?;
        previous_ms = entry.facts.at.unix_ms();
        entries.push(entry);
    }
    if reader.0.is_empty() { Ok(entries) } else { Err(Malformed) }
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

/// Small numbers of either sign become small numbers.
fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, (number.wrapping_shl(1) ^ (number >> 63)).cast_unsigned());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for place in 0..10 {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    fn signed(&mut self) -> Result<i64, Malformed> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// A number of items. Each item takes at least one byte, so a corrupt number cannot cause a large allocation.
    fn count(&mut self) -> Result<usize, Malformed> {
        let count = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        if count <= self.0.len() { Ok(count) } else { Err(Malformed) }
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = self.count()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Malformed)
    }

    fn name(&mut self, names: &[&'a str]) -> Result<Option<&'a str>, Malformed> {
        let number = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        match number.checked_sub(1) {
            None => Ok(None),
            Some(place) => names.get(place).copied().map(Some).ok_or(Malformed),
        }
    }

    fn key(&mut self) -> Result<RequestCaller, Malformed> {
        Ok(RequestCaller::Key { key: KeyId::from_bytes(self.array()?), secret: SecretMark(self.array()?) })
    }

    fn caller(&mut self) -> Result<RequestCaller, Malformed> {
        match self.byte()? {
            OF_KEY => self.key(),
            OF_USER => Ok(RequestCaller::User(UserId::from_bytes(self.array()?))),
            _ => Err(Malformed),
        }
    }

    fn entry(
        &mut self,
        names: &[&'a str],
        previous_ms: i64,
        read_caller: fn(&mut Self) -> Result<RequestCaller, Malformed>,
    ) -> Result<Logged<'a>, Malformed> {
        let flags = self.byte()?;
        let method = RequestMethod::ALL.get(usize::from(flags >> 4)).copied().ok_or(Malformed)?;
        let at = Timestamp::from_unix_ms(previous_ms.checked_add(self.signed()?).ok_or(Malformed)?);
        let (id, sum) = if flags & SUM == 0 {
            (RequestId::from_bytes(self.array()?), None)
        } else {
            (RequestId::from_bytes([0; 16]), Some(self.number()?))
        };
        let caller = read_caller(self)?;
        let (label, error, user_agent) = (self.name(names)?, self.name(names)?, self.name(names)?);
        let status = u16::try_from(self.number()?).map_err(|_| Malformed)?;
        let duration_us = self.number()?;
        let address = if flags & V6 == 0 {
            IpAddr::V4(Ipv4Addr::from(self.array::<4>()?))
        } else {
            IpAddr::V6(Ipv6Addr::from(self.array::<16>()?))
        };
        let own_path = if flags & HAS_PATH == 0 { None } else { Some(self.text()?) };
        let admitted = flags & ADMITTED != 0;
        let facts = RequestFacts { at, caller, method, status, address, duration_us, admitted };
        Ok(Logged { id, facts, label, own_path, error, user_agent, sum })
    }
}

#[cfg(test)]
mod tests;
