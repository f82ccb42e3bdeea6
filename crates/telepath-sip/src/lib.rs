//! SIP signalling without I/O: messages, transactions, dialogs, digest.
