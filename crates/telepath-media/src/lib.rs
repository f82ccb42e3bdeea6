//! Media without I/O: SDP, RTP, codecs, agent dialects, the call bridge.
