//! The tokio shell of the media plane: SIP endpoint, sockets, agent WebSocket, one task per call.
