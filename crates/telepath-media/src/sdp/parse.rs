//! The SDP parser (RFC 8866 section 9). It accepts bare LF line ends and ignores unknown lines.
//!
//! Only some fields are ISO 10646 text (section 5): a session name or user name may be in another character set. Bytes that
//! are not UTF-8 therefore become U+FFFD instead of an error; all that a call uses is ASCII.

use super::{
    ConnectionAddress, CryptoAttribute, FormatParameters, MAX_BYTES, MAX_CRYPTO, MAX_FORMATS, MAX_MEDIA,
    MediaDescription, MediaDirection, RtcpAttribute, RtpMap, SdpError, SessionDescription, SessionOrigin,
};
use crate::rtp::PayloadType;

impl SessionDescription {
    /// Parses a body of type `application/sdp`.
    ///
    /// # Errors
    /// See [`SdpError`].
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        if body.len() > MAX_BYTES {
            return Err(SdpError::TooLong);
        }
        let text = String::from_utf8_lossy(body);
        let mut parser = Parser::default();
        for (index, line) in text.lines().enumerate() {
            let malformed = SdpError::Malformed { line: index + 1 };
            if line.is_empty() {
                continue;
            }
            let (name, value) = line.split_once('=').ok_or_else(|| malformed.clone())?;
            let mut letters = name.chars();
            let (Some(letter), None) = (letters.next(), letters.next()) else { return Err(malformed) };
            parser.line(letter, value)?.ok_or(malformed)?;
        }
        parser.finish()
    }
}

#[derive(Default)]
struct Parser {
    version: bool,
    origin: Option<SessionOrigin>,
    connection: Option<ConnectionAddress>,
    direction: Option<MediaDirection>,
    media: Vec<MediaDescription>,
}

impl Parser {
    /// Parses one line; `Ok(None)` means that it is malformed.
    fn line(&mut self, letter: char, value: &str) -> Result<Option<()>, SdpError> {
        if !self.version && letter != 'v' {
            return Err(SdpError::Missing('v'));
        }
        Ok(match letter {
            'v' => {
                self.version = true;
                (value.trim() == "0").then_some(())
            }
            'o' => origin(value).map(|origin| self.origin = Some(origin)),
            'c' => connection(value).map(|address| match self.media.last_mut() {
                Some(media) => media.connection = Some(address),
                None => self.connection = Some(address),
            }),
            'm' => {
                if self.media.len() >= MAX_MEDIA {
                    return Err(SdpError::TooManyStreams);
                }
                media(value).map(|media| self.media.push(media))
            }
            'a' => {
                self.attribute(value);
                Some(())
            }
            _ => Some(()),
        })
    }

    /// Parses an attribute. A malformed attribute is ignored like an unknown one (RFC 8866 section 5.13).
    fn attribute(&mut self, value: &str) {
        let (name, rest) = value.split_once(':').map_or((value, ""), |(name, rest)| (name, rest.trim()));
        let direction = MediaDirection::from_attribute(name.trim());
        let Some(media) = self.media.last_mut() else {
            self.direction = direction.or(self.direction);
            return;
        };
        media.direction = direction.or(media.direction);
        match name {
            "rtpmap" if media.rtpmaps.len() < MAX_FORMATS => media.rtpmaps.extend(rtpmap(rest)),
            "fmtp" if media.fmtps.len() < MAX_FORMATS => media.fmtps.extend(fmtp(rest)),
            "ptime" => media.ptime = milliseconds(rest).or(media.ptime),
            "maxptime" => media.maxptime = milliseconds(rest).or(media.maxptime),
            "rtcp" => media.rtcp = rtcp(rest).or(media.rtcp.take()),
            "rtcp-mux" => media.rtcp_mux = true,
            "crypto" if media.crypto.len() < MAX_CRYPTO => match CryptoAttribute::parse(rest) {
                Some(attribute) => media.crypto.push(attribute),
                None => media.has_other_crypto = true,
            },
            _ => {}
        }
    }

    fn finish(self) -> Result<SessionDescription, SdpError> {
        if !self.version {
            return Err(SdpError::Missing('v'));
        }
        Ok(SessionDescription {
            origin: self.origin.ok_or(SdpError::Missing('o'))?,
            connection: self.connection,
            direction: self.direction,
            media: self.media,
        })
    }
}

/// Parses the value of `o=`. A user name has no spaces, but some peers write a person's name; so the fields after it are
/// found from the network type on.
fn origin(value: &str) -> Option<SessionOrigin> {
    let fields: Vec<&str> = value.split_ascii_whitespace().collect();
    let network = fields.windows(2).rposition(|pair| pair[0] == "IN" && is_address_type(pair[1]))?;
    let [username @ .., session_id, version] = &fields[..network] else { return None };
    let address = address("IN", fields[network + 1], fields.get(network + 2)?)?;
    Some(SessionOrigin {
        username: username.join(" "),
        session_id: (*session_id).to_owned(),
        version: (*version).to_owned(),
        address,
    })
}

fn is_address_type(text: &str) -> bool {
    text == "IP4" || text == "IP6"
}

fn connection(value: &str) -> Option<ConnectionAddress> {
    let mut fields = value.split_ascii_whitespace();
    address(fields.next()?, fields.next()?, fields.next()?)
}

fn address(network: &str, kind: &str, value: &str) -> Option<ConnectionAddress> {
    if network != "IN" || !is_address_type(kind) {
        return None;
    }
    // A multicast address may have a TTL and a count after a slash.
    let bare = value.split('/').next().unwrap_or(value);
    Some(bare.parse().map_or_else(|_| ConnectionAddress::Name(bare.to_owned()), ConnectionAddress::Ip))
}

fn media(value: &str) -> Option<MediaDescription> {
    let mut fields = value.split_ascii_whitespace();
    let kind = fields.next()?.to_owned();
    let port = fields.next()?.split('/').next()?.parse().ok()?;
    let protocol = fields.next()?.to_owned();
    let formats: Vec<String> = fields.take(MAX_FORMATS).map(str::to_owned).collect();
    if formats.is_empty() {
        return None;
    }
    Some(MediaDescription { kind, port, protocol, formats, ..MediaDescription::default() })
}

fn payload_type(text: &str) -> Option<PayloadType> {
    text.parse().ok().and_then(PayloadType::new)
}

fn rtpmap(value: &str) -> Option<RtpMap> {
    let (number, encoding) = value.split_once(' ')?;
    let mut parts = encoding.trim().split('/');
    Some(RtpMap {
        payload_type: payload_type(number)?,
        encoding: parts.next()?.to_owned(),
        clock_rate: parts.next()?.parse().ok()?,
        channels: parts.next().map_or(Some(1), |count| count.parse().ok())?,
    })
}

fn fmtp(value: &str) -> Option<FormatParameters> {
    let (number, parameters) = value.split_once(' ')?;
    Some(FormatParameters { payload_type: payload_type(number)?, parameters: parameters.trim().to_owned() })
}

/// Parses `port [nettype addrtype address]` (RFC 3605 section 2.1).
fn rtcp(value: &str) -> Option<RtcpAttribute> {
    let (port, address) = value.split_once(' ').unwrap_or((value, ""));
    let port = port.parse().ok().filter(|&port| port > 0)?;
    let address = if address.trim().is_empty() { None } else { Some(connection(address)?) };
    Some(RtcpAttribute { port, address })
}

/// Parses whole milliseconds. Some peers write `20.0`.
fn milliseconds(text: &str) -> Option<u16> {
    text.split('.').next().and_then(|whole| whole.trim().parse().ok()).filter(|&ms| ms > 0)
}
