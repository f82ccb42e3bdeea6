//! The PROXY protocol, version 2: a header in front of the first byte of a connection, in which a TCP load balancer names the
//! client. It is read from trusted proxies only, and required from them, because a receiver must not guess whether it is
//! there (section 2 of the specification, <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The first bytes of a header.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The fixed part of a header.
const FIXED: usize = 16;
/// The most bytes after the fixed part. Addresses take at most 216; the rest are TLVs, which are skipped.
const MAX_REST: usize = 2048;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxiedPeer {
    /// The connection carries one of this client.
    Client(IpAddr),
    /// The proxy connects for itself, such as for a health check, or does not tell the client's address. The address of the
    /// connection counts.
    Proxy,
}

/// The first bytes of a connection are not a header of version 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection of a trusted proxy does not begin with a valid PROXY protocol header of version 2")]
pub(crate) struct InvalidHeader;

/// Reads a header and nothing after it.
pub(crate) async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<ProxiedPeer> {
    let invalid = |error: InvalidHeader| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut fixed = [0; FIXED];
    stream.read_exact(&mut fixed).await?;
    let mut rest = vec![0; length(&fixed).map_err(invalid)?];
    stream.read_exact(&mut rest).await?;
    parse(&fixed, &rest).map_err(invalid)
}

/// The number of bytes that follow the fixed part.
fn length(fixed: &[u8; FIXED]) -> Result<usize, InvalidHeader> {
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let is_version_two = fixed.starts_with(&SIGNATURE) && fixed[12] >> 4 == 2;
    if is_version_two && length <= MAX_REST { Ok(length) } else { Err(InvalidHeader) }
}

fn parse(fixed: &[u8; FIXED], rest: &[u8]) -> Result<ProxiedPeer, InvalidHeader> {
    const LOCAL: u8 = 0;
    const PROXY: u8 = 1;
    match fixed[12] & 0x0f {
        LOCAL => return Ok(ProxiedPeer::Proxy),
        PROXY => {}
        _ => return Err(InvalidHeader),
    }
    // The high half is the address family. The low half is the transport, which must be a stream where it is told.
    match fixed[13] {
        0x11 => source::<4>(rest, 12).map(|bytes| ProxiedPeer::Client(Ipv4Addr::from(bytes).into())),
        0x21 => source::<16>(rest, 36).map(|bytes| ProxiedPeer::Client(Ipv6Addr::from(bytes).into())),
        // UNSPEC, or a Unix socket: there is no address to use.
        0x00 | 0x31 => Ok(ProxiedPeer::Proxy),
        _ => Err(InvalidHeader),
    }
}

/// The source address, which comes first in the address block of `block` bytes.
fn source<const N: usize>(rest: &[u8], block: usize) -> Result<[u8; N], InvalidHeader> {
    let whole = rest.get(..block).ok_or(InvalidHeader)?;
    whole.first_chunk().copied().ok_or(InvalidHeader)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[version_and_command, family], &length, rest].concat()
    }

    /// Reads a header; the bytes after it must be left over.
    async fn read(bytes: &[u8]) -> Result<ProxiedPeer, io::ErrorKind> {
        let all = [bytes, b"\x16rest"].concat();
        let mut stream = all.as_slice();
        let peer = read_header(&mut stream).await.map_err(|error| error.kind())?;
        assert_eq!(stream, b"\x16rest");
        Ok(peer)
    }

    const V4: [u8; 12] = [203, 0, 113, 9, 192, 0, 2, 1, 0x12, 0x67, 0x01, 0xbb];

    fn v6() -> Vec<u8> {
        let source: Ipv6Addr = "2001:db8::9".parse().unwrap();
        let destination: Ipv6Addr = "2001:db8::1".parse().unwrap();
        [&source.octets()[..], &destination.octets(), &[0x12, 0x67, 0x01, 0xbb]].concat()
    }

    #[tokio::test]
    async fn the_source_address_is_the_client() {
        let client = |text: &str| Ok(ProxiedPeer::Client(text.parse().unwrap()));
        assert_eq!(read(&header(0x21, 0x11, &V4)).await, client("203.0.113.9"));
        assert_eq!(read(&header(0x21, 0x21, &v6())).await, client("2001:db8::9"));
        // TLVs after the addresses (here PP2_TYPE_NOOP) are skipped.
        assert_eq!(
            read(&header(0x21, 0x11, &[&V4[..], &[4, 0, 2, 0, 0]].concat())).await,
            client("203.0.113.9")
        );
    }

    #[tokio::test]
    async fn local_and_unspecified_connections_count_as_the_proxys_own() {
        for (command, family, rest) in [
            (0x20, 0x00, &[][..]),
            (0x20, 0x11, &V4),
            (0x20, 0x00, &[4, 0, 1, 0]),
            (0x21, 0x00, &[]),
            (0x21, 0x00, &V4),
            (0x21, 0x31, &[0; 216]),
        ] {
            assert_eq!(
                read(&header(command, family, rest)).await,
                Ok(ProxiedPeer::Proxy),
                "{command:x} {family:x}"
            );
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        for (command, family, rest) in [
            (0x11, 0x11, &V4[..]),
            (0x31, 0x11, &V4),
            (0x22, 0x11, &V4),
            (0x21, 0x12, &V4),
            (0x21, 0x22, &v6()),
            (0x21, 0x41, &V4),
            (0x21, 0x11, &V4[..11]),
            (0x21, 0x21, &V4),
            (0x21, 0x11, &[0; MAX_REST + 1]),
        ] {
            let refused = read(&header(command, family, rest)).await;
            assert_eq!(refused, Err(io::ErrorKind::InvalidData), "{command:x} {family:x} {}", rest.len());
        }
        let mut other = header(0x21, 0x11, &V4);
        other[3] = b' ';
        assert_eq!(read(&other).await, Err(io::ErrorKind::InvalidData));
        assert_eq!(read(b"PROXY TCP4 203.0.113.9 192.0.2.1 1 2\r\n").await, Err(io::ErrorKind::InvalidData));
        let cut = header(0x21, 0x11, &V4);
        for length in [0, 1, 15, 16, 27] {
            let mut stream = &cut[..length];
            assert_eq!(read_header(&mut stream).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[tokio::test]
    async fn the_longest_header_is_read() {
        let rest = [&V4[..], &[0; MAX_REST - 12]].concat();
        assert_eq!(
            read(&header(0x21, 0x11, &rest)).await,
            Ok(ProxiedPeer::Client("203.0.113.9".parse().unwrap()))
        );
    }
}
